//! `regatta config history`: what was changed, when, by whom and why.

use std::collections::BTreeMap;

use clap::Args;
use regatta_config::center::{Change, Journal, JournalEntry, Layout, Place as Lies, Which};
use serde_json::json;

use super::access::{Access, known, shown, when};
use crate::failure::Failure;
use crate::output::{Format, Paint, out, table};
use crate::system::Place;

/// Prints the latest changes of settings, the newest last.
///
/// Changes come from the revisions that the center keeps (Regatta's own for an hour, etcd until it is
/// compacted); who and why, and what is older, from a journal of the last 1000 changes that were made
/// with `regatta config`.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// The service, or _shared. Default: all.
    service: Option<String>,
    /// One setting.
    key: Option<String>,
    /// The most changes.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Shows secrets too, those of changes that the center keeps.
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    access: Access,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    revision: u64,
    key: String,
    value: Option<String>,
    entry: Option<JournalEntry>,
}

impl History {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        let which = match (&self.service, &self.key) {
            (Some(service), Some(key)) => Which::Key(center.key(service, None, key)?),
            (Some(service), None) => {
                known(service)?;
                Which::Prefix(center.layout.service(service))
            }
            (None, _) => Which::Prefix(center.layout.prefix().to_owned()),
        };
        // Reports and the journal are changes too, and not meant: more are read than are shown.
        let kept = center.port.history(&which, self.limit.saturating_mul(20).max(1000)).await?;
        let journal = Journal::new(center.layout.clone()).read(&*center.port).await?;
        let is_meant = |key: &str| which.matches(key) && is_setting(&center.layout, key);
        let mut lines = merge(kept.changes, journal, is_meant);
        lines.drain(..lines.len().saturating_sub(self.limit));
        match format {
            Format::Json => {
                let line = |it: &Line| {
                    let entry = it.entry.as_ref();
                    json!({
                        "revision": it.revision,
                        "key": it.key,
                        "value": it.value.as_ref().map(|text| shown(&it.key, text, self.reveal)),
                        "at": entry.map(|entry| when(entry.at_ms)),
                        "by": entry.map(|entry| &entry.by),
                        "why": entry.map(|entry| &entry.why),
                        "action": entry.map(|entry| &entry.action),
                    })
                };
                let value = json!({ "since": kept.since,
                    "changes": lines.iter().map(line).collect::<Vec<_>>() });
                out(&value.to_string());
            }
            Format::Text => self.print(&center.layout, &lines, kept.since),
        }
        Ok(())
    }

    fn print(&self, layout: &Layout, lines: &[Line], since: u64) {
        let row = |it: &Line| {
            let entry = it.entry.clone().unwrap_or_default();
            let what = match &it.value {
                Some(value) => shown(&it.key, value, self.reveal),
                None => "(deleted)".to_owned(),
            };
            let at = if it.entry.is_some() { when(entry.at_ms) } else { "-".to_owned() };
            let name = it.key.strip_prefix(layout.prefix()).unwrap_or(&it.key).to_owned();
            let note = match entry.why.is_empty() {
                true => entry.action,
                false => format!("{}: {}", entry.action, entry.why),
            };
            vec![it.revision.to_string(), at, entry.by, name, what, note]
        };
        let rows: Vec<_> = lines.iter().map(row).collect();
        let paint = Paint::of_stdout();
        let colour = |_: usize, column: usize, text: &str| match column {
            3 => paint.bold(text),
            _ => text.to_owned(),
        };
        let head = ["REVISION", "WHEN", "WHO", "SETTING", "VALUE", "WHAT"];
        table(&head, &rows, colour).iter().for_each(|line| out(line));
        out(&paint.dim(&format!(
            "the center keeps changes since revision {since}; older ones are from the journal"
        )));
    }
}

fn is_setting(layout: &Layout, key: &str) -> bool {
    let place = layout.service_of(key).and_then(|service| layout.place(service, key));
    matches!(place, Some(Lies::Setting { .. } | Lies::OfInstance { .. }))
}

/// The kept changes with what the journal knows of them, and what only the journal knows.
fn merge(
    kept: Vec<Change>,
    journal: Vec<(u64, JournalEntry)>,
    is_meant: impl Fn(&str) -> bool,
) -> Vec<Line> {
    let mut lines: BTreeMap<(u64, String), Line> = BTreeMap::new();
    for (revision, entry) in journal {
        for change in entry.changes.iter().filter(|change| is_meant(&change.key)) {
            let (key, value) = (change.key.clone(), change.after.clone());
            let line = Line { revision, key: key.clone(), value, entry: Some(entry.clone()) };
            lines.insert((revision, key), line);
        }
    }
    for change in kept.into_iter().filter(|change| is_meant(change.key())) {
        let (revision, key) = (change.revision(), change.key().to_string());
        let value = change.value().map(ToString::to_string);
        // What is kept is the truth; the journal hides secrets.
        match lines.get_mut(&(revision, key.clone())) {
            Some(line) => line.value = value,
            None => {
                let line = Line { revision, key: key.clone(), value, entry: None };
                drop(lines.insert((revision, key), line));
            }
        }
    }
    lines.into_values().collect()
}

#[cfg(test)]
mod tests {
    use regatta_config::center::{Item, JournalChange};

    use super::*;

    #[test]
    fn what_is_kept_and_what_is_in_the_journal_are_one_history() {
        let entry = |key: &str, value: &str| JournalEntry {
            by: "ada".to_owned(),
            changes: vec![JournalChange::new(key, None, Some(value))],
            ..JournalEntry::default()
        };
        let journal = vec![(3, entry("/config/a/x", "1")), (7, entry("/config/a/password", "p"))];
        let kept = vec![
            Change::Put(Item::new("/config/a/password", "p", 7)),
            Change::Delete { key: "/config/a/x".into(), revision: 8 },
            Change::Put(Item::new("/config/_reports/a/a-1", "{}", 9)),
        ];
        let layout = Layout::default();
        let lines = merge(kept, journal, |key| is_setting(&layout, key));
        let shown: Vec<_> = lines
            .iter()
            .map(|it| (it.revision, &*it.key, it.value.as_deref(), it.entry.is_some()))
            .collect();
        assert_eq!(
            shown,
            [
                (3, "/config/a/x", Some("1"), true),
                (7, "/config/a/password", Some("p"), true),
                (8, "/config/a/x", None, false),
            ]
        );
    }
}
