//! `regatta events publish`: events of scripts, and of services in other languages.

use std::io::Read;

use clap::Args;
use regatta_events::CloudEvent;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::place::BusPlace;
use crate::failure::Failure;
use crate::output::{Format, out};
use crate::system::Place;

/// How much is read from standard input at most: 64 MiB.
const LONGEST: u64 = 64 << 20;
/// How many events the bus is given at a time, all or none.
const BATCH: usize = 1000;

/// Publishes one event by its --type, or those that standard input has as CloudEvents in JSON: one,
/// several one after the other, or lists. Published again with the same id and source, an event is
/// the same.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// What happened, such as order.placed; without it, events are read from standard input.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Who tells it.
    #[arg(long, value_name = "SOURCE", default_value = "/regatta-cli", requires = "event_type")]
    source: String,
    /// Its name for ever. Default: a new one.
    #[arg(long, value_name = "ID", requires = "event_type")]
    id: Option<String>,
    /// What it is about, such as order-42.
    #[arg(long, value_name = "SUBJECT", requires = "event_type")]
    subject: Option<String>,
    /// Its partition key: events of one key come in their order.
    #[arg(long, value_name = "KEY", requires = "event_type")]
    key: Option<String>,
    /// Its data, as JSON.
    #[arg(long, value_name = "JSON", requires = "event_type")]
    data: Option<String>,
    #[command(flatten)]
    bus: BusPlace,
}

impl Publish {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let bus = self.bus.open(place).await?;
        let events = match &self.event_type {
            Some(event_type) => vec![self.event(event_type, OffsetDateTime::now_utc())?],
            None => read(&text()?)?,
        };
        for (number, batch) in events.chunks(BATCH).enumerate() {
            let published = bus.publish(batch).await.map_err(Failure::from);
            published.map_err(|failure| match number {
                0 => failure,
                _ => failure.with_detail(vec![format!(
                    "the first {} are published; to publish all again is safe",
                    number * BATCH
                )]),
            })?;
        }
        match format {
            Format::Json => {
                let ids: Vec<_> = events.iter().map(CloudEvent::id).collect();
                out(&json!({ "published": events.len(), "ids": ids }).to_string());
            }
            Format::Text => out(&format!("published: {}", events.len())),
        }
        Ok(())
    }

    fn event(&self, event_type: &str, now: OffsetDateTime) -> Result<CloudEvent, Failure> {
        let wrong = |error: &dyn std::error::Error| Failure::usage(error.to_string());
        let id = self.id.clone().unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
        let event = CloudEvent::try_new(id, &*self.source, event_type);
        let mut event = event.map_err(|error| wrong(&error))?.with_time(now);
        if let Some(subject) = &self.subject {
            event = event.with_subject(subject).map_err(|error| wrong(&error))?;
        }
        if let Some(key) = &self.key {
            let with = event.with_extension(CloudEvent::PARTITION_KEY, &**key);
            event = with.map_err(|error| wrong(&error))?;
        }
        if let Some(data) = &self.data {
            let data = serde_json::from_str(data);
            let no =
                |error: serde_json::Error| Failure::usage(format!("--data is not JSON; {error}"));
            event = event.with_json(data.map_err(no)?);
        }
        Ok(event)
    }
}

/// Standard input, as far as it is not too long.
fn text() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("standard input cannot be read; {error}")))?;
    match text.len() as u64 > LONGEST {
        false => Ok(text),
        true => Err(Failure::usage("standard input is longer than 64 MiB; publish it in parts")),
    }
}

/// Every event of the text.
fn read(text: &str) -> Result<Vec<CloudEvent>, Failure> {
    let mut events = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let wrong = |error: &dyn std::fmt::Display| {
            let which = events.len() + 1;
            Failure::usage(format!("event {which} on standard input is not one; {error}"))
        };
        let values = match value.map_err(|error| wrong(&error))? {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let which = events.len() + 1;
            let event = CloudEvent::from_json(value).map_err(|error| {
                let error = regatta_core::Chain(&error);
                Failure::usage(format!("event {which} on standard input is not one; {error}"))
            })?;
            events.push(event);
        }
    }
    match events.is_empty() {
        false => Ok(events),
        true => Err(Failure::usage("there is no event on standard input; or say --type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_one_after_the_other_and_from_lists() {
        let event =
            |id: u32| format!(r#"{{"specversion":"1.0","id":"{id}","source":"/a","type":"b"}}"#);
        let text = format!("{}\n[{},{}]{}", event(1), event(2), event(3), event(4));
        let ids: Vec<_> = read(&text).unwrap().iter().map(|event| event.id().to_owned()).collect();
        assert_eq!(ids, ["1", "2", "3", "4"]);
    }

    #[test]
    fn what_is_no_event_is_told_by_its_number() {
        let good = r#"{"specversion":"1.0","id":"1","source":"/a","type":"b"}"#;
        for (text, says) in [
            ("", "no event"),
            ("[]", "no event"),
            ("{", "event 1 "),
            (&*format!("{good} {{\"id\":\"2\"}}"), "event 2 "),
            (&*format!("[{good}, 7]"), "event 2 "),
        ] {
            let told = format!("{:?}", read(text).unwrap_err());
            assert!(told.contains(says), "{text}: {told}");
        }
    }
}
