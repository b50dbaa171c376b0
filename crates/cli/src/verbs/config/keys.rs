//! `regatta config get, set, delete, list`: single settings of the config center.

use std::time::Duration;

use clap::Args;
use regatta_config::center::{Commit, Expected, Item, JournalChange, Place as Lies, Query};
use serde_json::json;

use super::access::{Access, Center, Reason, known, shown};
use super::takeover::Written;
use super::under_way;
use crate::failure::Failure;
use crate::output::{Format, Paint, err, out, table};
use crate::system::Place;
use crate::verbs::up::duration;

/// Prints a setting of the config center; exit code 1 when it is not set there.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The service, or _shared for the settings of all.
    service: String,
    /// The dotted key, such as client.timeout.
    key: String,
    /// For this instance alone.
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// Sets a setting in the config center; running instances take it over, or refuse it.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The service, or _shared for the settings of all.
    service: String,
    /// The dotted key, such as client.timeout.
    key: String,
    /// Its value, as in an environment variable.
    #[arg(allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    change: Change,
}

/// Deletes a setting from the config center; the layers below hold then.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The service, or _shared for the settings of all.
    service: String,
    /// The dotted key, such as client.timeout.
    key: String,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
struct Change {
    /// For this instance alone.
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// Only if it is as of this revision; 0 for one that must not be there.
    #[arg(long, value_name = "REVISION")]
    expect: Option<u64>,
    /// Waits so long until every instance has taken it over; exit code 1 when one refuses it.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    wait: Option<Duration>,
    /// Also where a release under way changes it; that goes no further then.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    access: Access,
}

/// Lists settings of the config center: of a service, or of all.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// The service, or _shared. Default: all.
    service: Option<String>,
    /// As it was at this revision, 1 or more.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(u64).range(1..))]
    at: Option<u64>,
    /// Shows secrets too.
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    access: Access,
}

impl Get {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        let whole = center.key(&self.service, self.instance.as_deref(), &self.key)?;
        let Some(item) = center.port.get(&whole).await? else {
            return Err(Failure::new(format!(
                "`{}` of {} is not set in the config center; see what holds with `regatta config \
                 show {}`",
                self.key, self.service, self.service
            )));
        };
        match format {
            Format::Text => out(&item.value),
            Format::Json => out(&json!({ "key": whole, "value": &*item.value,
                "revision": item.revision })
            .to_string()),
        }
        Ok(())
    }
}

impl Set {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        self.change.run(place, format, &self.service, &self.key, Some(&self.value)).await
    }
}

impl Delete {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        self.change.run(place, format, &self.service, &self.key, None).await
    }
}

impl Change {
    async fn run(
        self,
        place: &Place,
        format: Format,
        service: &str,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        let whole = center.key(service, self.instance.as_deref(), key)?;
        let action = if value.is_some() { "set" } else { "delete" };
        let make = || async {
            let before = center.port.get(&whole).await?;
            self.expected(&whole, before.as_ref())?;
            if value.is_none() && before.is_none() {
                let text = format!("`{key}` of {service} is not set in the config center");
                return Err(Failure::new(text));
            }
            let change =
                JournalChange::new(&whole, before.as_ref().map(|item| &*item.value), value);
            let expected = before.map_or(Expected::Absent, |it| Expected::Revision(it.revision));
            let commit = Commit::new().expect(&*whole, expected);
            let commit = match value {
                Some(value) => commit.put(&*whole, value),
                None => commit.delete(&*whole),
            };
            let commit = under_way::beside(&center, service, commit, self.force).await?;
            Ok((commit, self.reason.entry(action, service, vec![change])))
        };
        let revision = center.change(make).await?;
        match format {
            Format::Json => out(&json!({ "key": whole, "revision": revision }).to_string()),
            Format::Text => match value {
                Some(value) => {
                    let value = shown(&whole, value, false);
                    out(&format!("{key} = {value} for {service}, revision {revision}"));
                }
                None => out(&format!("{key} is deleted for {service}, revision {revision}")),
            },
        }
        if value.is_some_and(str::is_empty) {
            // Some settings may be empty; only the instances know which.
            err(&format!(
                "note: the value is empty, and is not taken for absent; to let the layers below hold, \
                 run `regatta config delete {service} {key}`"
            ));
        }
        let written = Written { service, instance: self.instance.as_deref(), revision };
        written.told(&center, self.wait).await
    }

    fn expected(&self, key: &str, before: Option<&Item>) -> Result<(), Failure> {
        let found = before.map_or(0, |item| item.revision);
        match self.expect {
            Some(expected) if expected != found => Err(Failure::new(format!(
                "`{key}` is of revision {found} and not {expected}; look at it again and decide anew"
            ))),
            _ => Ok(()),
        }
    }
}

impl List {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        let prefix = match &self.service {
            Some(service) => {
                known(service)?;
                center.layout.service(service)
            }
            None => center.layout.prefix().to_owned(),
        };
        let query = Query { at: self.at, ..Query::prefix(prefix) };
        let items = center.port.list(&query).await?.items;
        let found: Vec<_> = items.iter().filter_map(|item| setting(&center, item)).collect();
        match format {
            Format::Json => {
                let entry = |it: &Setting<'_>| {
                    json!({ "service": it.service, "instance": it.instance, "key": it.key,
                        "value": shown(it.key, &it.item.value, self.reveal),
                        "revision": it.item.revision })
                };
                out(&serde_json::Value::from_iter(found.iter().map(entry)).to_string());
            }
            Format::Text if found.is_empty() => out("the config center has no settings here"),
            Format::Text => {
                let row = |it: &Setting<'_>| {
                    vec![
                        it.instance.map_or(it.service, |instance| instance).to_owned(),
                        it.key.to_owned(),
                        shown(it.key, &it.item.value, self.reveal),
                        it.item.revision.to_string(),
                    ]
                };
                let rows: Vec<_> = found.iter().map(row).collect();
                let paint = Paint::of_stdout();
                let colour = |_: usize, column: usize, text: &str| match column {
                    1 => paint.bold(text),
                    _ => text.to_owned(),
                };
                let lines = table(&["FOR", "SETTING", "VALUE", "REVISION"], &rows, colour);
                lines.iter().for_each(|line| out(line));
            }
        }
        Ok(())
    }
}

/// A key of the center that is a setting.
pub(super) struct Setting<'a> {
    pub(super) service: &'a str,
    pub(super) instance: Option<&'a str>,
    pub(super) key: &'a str,
    item: &'a Item,
}

fn setting<'a>(center: &Center, item: &'a Item) -> Option<Setting<'a>> {
    let service = center.layout.service_of(&item.key)?;
    let (instance, key) = match center.layout.place(service, &item.key)? {
        Lies::Setting { key } => (None, key),
        Lies::OfInstance { instance, key } => (Some(instance), key),
        Lies::Rollout | Lies::Other => return None,
    };
    Some(Setting { service, instance, key, item })
}
