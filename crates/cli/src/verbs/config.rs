//! `regatta config show`: the settings a service really has.

use clap::{Args, Subcommand};
use regatta_supervisor::{Inspection, State};
use serde::Deserialize;

use crate::failure::Failure;
use crate::output::{Format, Paint, out, table};
use crate::system::Place;

/// Settings of services.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    Show(Show),
}

/// Shows every setting of a service with its value and where that came from; secrets as ***.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The service, as in the manifest.
    #[arg(value_name = "SERVICE")]
    service: String,
}

/// One setting, as a service prints it.
#[derive(Debug, Deserialize)]
struct Entry {
    key: String,
    value: serde_json::Value,
    origin: String,
}

impl Config {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let Self::Show(show) = self;
        let settings = place.settings(false)?;
        let url = place.state()?.and_then(|state| url_of(&state, &show.service));
        let variables = [("REGATTA_CONFIG_SHOW", "json")];
        let shown = regatta_supervisor::inspect(&settings, &show.service, url, &variables).await?;
        let Inspection { success, output, errors } = shown;
        if !success {
            let text = format!("the settings of {} are not valid", show.service);
            return Err(Failure::new(text).with_detail(errors.lines().map(str::to_owned).collect()));
        }
        let entries: Vec<Entry> = serde_json::from_str(&output).map_err(|_| {
            Failure::new(format!(
                "{} does not show its settings; only services on the crate `regatta` do",
                show.service
            ))
        })?;
        match format {
            Format::Json => out(output.trim_end()),
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

fn url_of(state: &State, service: &str) -> Option<String> {
    state.parts.iter().find(|part| part.service == service).map(|part| part.url.clone())
}
