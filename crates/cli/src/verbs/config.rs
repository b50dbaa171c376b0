//! `regatta config`: the settings of services, as they are and as the config center has them.

mod access;
mod diff;
mod history;
mod instances;
mod keys;
mod release;
mod rollback;
mod takeover;
mod under_way;
mod watch;

use clap::{Args, Subcommand};
use regatta_supervisor::Inspection;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::output::{Format, Paint, out, table};
use crate::system::Place;

/// Settings of services: as they run (show), and as the config center has them.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    Show(Show),
    Get(keys::Get),
    Set(keys::Set),
    Delete(keys::Delete),
    List(keys::List),
    Watch(watch::Watch),
    History(history::History),
    Diff(diff::Diff),
    Rollback(rollback::Rollback),
    Instances(instances::Instances),
    #[command(subcommand)]
    Release(release::Release),
    Releases(release::Releases),
}

/// Shows every setting of a service with its value and where that came from; secrets as ***.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The service, as in the manifest.
    #[arg(value_name = "SERVICE")]
    service: String,
}

/// One setting, as a service prints it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    key: String,
    /// Null where there is none, or none yet.
    value: serde_json::Value,
    origin: String,
}

impl Entry {
    /// Says of a port that is drawn at each start that it is not known yet: a service that does not
    /// run is shown 0 by the supervisor.
    fn mark_free_port(&mut self) {
        if self.origin == "environment variable PORT" && (self.value == 0 || self.value == "0") {
            self.value = serde_json::Value::Null;
            self.origin = "a free port, chosen at each start".to_owned();
        }
    }
}

impl Config {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let show = match self {
            Self::Show(show) => show,
            Self::Get(verb) => return verb.run(place, format).await,
            Self::Set(verb) => return verb.run(place, format).await,
            Self::Delete(verb) => return verb.run(place, format).await,
            Self::List(verb) => return verb.run(place, format).await,
            Self::Watch(verb) => return verb.run(place, format).await,
            Self::History(verb) => return verb.run(place, format).await,
            Self::Diff(verb) => return verb.run(place, format).await,
            Self::Rollback(verb) => return verb.run(place, format).await,
            Self::Instances(verb) => return verb.run(place, format).await,
            Self::Release(verb) => return verb.run(place, format).await,
            Self::Releases(verb) => return verb.run(place, format).await,
        };
        let settings = place.settings(false)?;
        let state = place.state()?;
        let variables = [("REGATTA_CONFIG_SHOW", "json")];
        let shown =
            regatta_supervisor::inspect(&settings, &show.service, state.as_ref(), &variables);
        let Inspection { success, output, errors } = shown.await?;
        if !success {
            let text = format!("the settings of {} are not valid", show.service);
            return Err(Failure::new(text).with_detail(errors.lines().map(str::to_owned).collect()));
        }
        let mut entries: Vec<Entry> = serde_json::from_str(&output).map_err(|_| {
            Failure::new(format!(
                "{} does not show its settings; only services on the crate `regatta` do",
                show.service
            ))
        })?;
        entries.iter_mut().for_each(Entry::mark_free_port);
        match format {
            Format::Json => out(&serde_json::to_string(&entries)?),
            Format::Text => show_table(&entries),
        }
        Ok(())
    }
}

fn show_table(entries: &[Entry]) {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let row = |entry: &Entry| vec![entry.key.clone(), text(&entry.value), entry.origin.clone()];
    let rows: Vec<_> = entries.iter().map(row).collect();
    let paint = Paint::of_stdout();
    let colour = |index: usize, column: usize, text: &str| match column {
        _ if entries[index].origin == "default" => paint.dim(text),
        0 => paint.bold(text),
        _ => text.to_owned(),
    };
    table(&["SETTING", "VALUE", "FROM"], &rows, colour).iter().for_each(|line| out(line));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_port_nobody_chose_yet_is_not_shown_as_zero() {
        for (value, origin, marked) in [
            (json!(0), "environment variable PORT", true),
            (json!("0"), "environment variable PORT", true),
            (json!(8080), "environment variable PORT", false),
            (json!(0), "config.yaml:3", false),
        ] {
            let (key, text) = ("server.port".to_owned(), origin.to_owned());
            let mut entry = Entry { key, value: value.clone(), origin: text };
            entry.mark_free_port();
            assert_eq!(entry.value.is_null(), marked, "{value} {origin}");
            assert_eq!(entry.origin.contains("free port"), marked);
        }
    }
}
