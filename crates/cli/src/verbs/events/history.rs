//! `regatta events list`: what the bus still has.

use clap::Args;
use regatta_events::{HistoryQuery, Logged, TypeFilter};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::place::BusPlace;
use super::when::{moment, rfc3339};
use crate::failure::Failure;
use crate::output::{Format, out, table};
use crate::system::Place;

/// Lists the events that the bus still has, oldest first.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    which: Which,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    bus: BusPlace,
}

/// Which events.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Only this type, or types that begin so: order.*; may be given several times.
    #[arg(long = "type", value_name = "PATTERN")]
    types: Vec<String>,
    /// Only what comes after this position.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    pub(super) after: u64,
    /// Only what the bus took since: a time, or how long ago, such as 10m.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<OffsetDateTime>,
}

impl Which {
    pub(super) fn query(&self, limit: u32) -> Result<HistoryQuery, Failure> {
        let types = TypeFilter::try_new(self.types.iter().map(String::as_str));
        let types = types.map_err(|error| Failure::usage(error.to_string()))?;
        Ok(HistoryQuery { after: self.after, since: self.since, types, limit })
    }

    /// Whether where to begin was said.
    pub(super) fn has_start(&self) -> bool {
        self.after > 0 || self.since.is_some()
    }
}

impl List {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let events = self.bus.open(place).await?.history(&self.which.query(self.limit)?).await?;
        match format {
            Format::Json => {
                let all: Vec<_> = events.iter().map(as_json).collect();
                out(&Value::from(all).to_string());
            }
            Format::Text => {
                let row = |logged: &Logged| {
                    let event = &logged.event;
                    vec![
                        logged.position.to_string(),
                        rfc3339(logged.recorded_at),
                        event.event_type().to_owned(),
                        event.source().to_owned(),
                        event.partition_key().unwrap_or("-").to_owned(),
                        event.json().map_or_else(String::new, Value::to_string),
                    ]
                };
                let rows: Vec<_> = events.iter().map(row).collect();
                let head = ["POSITION", "TAKEN", "TYPE", "SOURCE", "KEY", "DATA"];
                table(&head, &rows, |_, _, text| text.to_owned()).iter().for_each(|line| out(line));
            }
        }
        Ok(())
    }
}

/// An event as programs read it: the CloudEvent, and its place on the bus.
pub(super) fn as_json(logged: &Logged) -> Value {
    let event = serde_json::from_str(&logged.event.to_json_string()).unwrap_or(Value::Null);
    json!({
        "position": logged.position,
        "recorded_at": rfc3339(logged.recorded_at),
        "event": event,
    })
}
