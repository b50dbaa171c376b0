//! `regatta streams`: the history of aggregates, as it is kept.

use clap::{Args, Subcommand};
use regatta_eventstore::{EventStore as _, Privacy, Range, Recorded, StreamId, Until, Version};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::events::{moment, rfc3339};
use super::store::StorePlace;
use crate::failure::Failure;
use crate::output::{Format, out, table};
use crate::system::Place;

/// How many events are read at a time.
const PAGE: u32 = 500;

/// Streams of events, one for each aggregate.
#[derive(Debug, Subcommand)]
pub(crate) enum Streams {
    List(List),
    Show(Show),
    AsOf(AsOf),
}

/// Lists streams by name, each with its version and the time of its last event.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only streams of this category, such as order.
    #[arg(long, value_name = "CATEGORY")]
    category: Option<String>,
    /// Only streams whose names come after this one.
    #[arg(long, value_name = "STREAM", value_parser = stream)]
    after: Option<StreamId>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    store: StorePlace,
}

/// Shows every event of a stream.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The stream, such as order-42.
    #[arg(value_name = "STREAM", value_parser = stream)]
    stream: StreamId,
    #[command(flatten)]
    store: StorePlace,
}

/// Shows the events of a stream as they were at a time.
#[derive(Debug, Args)]
pub(crate) struct AsOf {
    /// The stream, such as order-42.
    #[arg(value_name = "STREAM", value_parser = stream)]
    stream: StreamId,
    /// The time, or how long ago, such as 10m.
    #[arg(value_name = "TIME", value_parser = moment)]
    time: OffsetDateTime,
    #[command(flatten)]
    store: StorePlace,
}

impl Streams {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        match self {
            Self::List(verb) => verb.run(place, format).await,
            Self::Show(Show { stream, store }) => {
                show(place, &store, (&stream, Until::End), format).await
            }
            Self::AsOf(AsOf { stream, time, store }) => {
                show(place, &store, (&stream, Until::Time(time)), format).await
            }
        }
    }
}

impl List {
    async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let store = self.store.open(place).await?;
        let (category, after) = (self.category.as_deref(), self.after.as_ref());
        let streams = store.streams(category, after, self.limit).await?;
        match format {
            Format::Json => {
                let all: Vec<_> = streams
                    .iter()
                    .map(|info| {
                        json!({ "stream": info.stream.as_str(), "version": info.version.get(),
                            "recorded_at": rfc3339(info.recorded_at) })
                    })
                    .collect();
                out(&Value::from(all).to_string());
            }
            Format::Text => {
                let rows: Vec<_> = streams
                    .iter()
                    .map(|info| {
                        let (stream, version) = (info.stream.to_string(), info.version.to_string());
                        vec![stream, version, rfc3339(info.recorded_at)]
                    })
                    .collect();
                let lines =
                    table(&["STREAM", "VERSION", "LAST"], &rows, |_, _, text| text.to_owned());
                lines.iter().for_each(|line| out(line));
            }
        }
        Ok(())
    }
}

async fn show(
    place: &Place,
    store: &StorePlace,
    (stream, until): (&StreamId, Until),
    format: Format,
) -> Result<(), Failure> {
    let store = store.open(place).await?;
    let mut events: Vec<Recorded> = Vec::new();
    loop {
        let after = events.last().map_or(Version::NONE, |last| last.version);
        let page = store.read_stream(stream, Range { after, until }, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        events.extend(page);
        if is_last {
            break;
        }
    }
    if events.is_empty() {
        return Err(Failure::new(format!("the stream `{stream}` has no events, or had none then")));
    }
    match format {
        Format::Json => {
            let all: Vec<_> = events.iter().map(as_json).collect();
            out(&Value::from(all).to_string());
        }
        Format::Text => {
            let row = |event: &Recorded| {
                vec![
                    event.version.to_string(),
                    rfc3339(event.recorded_at),
                    event.event_type.clone(),
                    event.data.to_string(),
                ]
            };
            let rows: Vec<_> = events.iter().map(row).collect();
            let head = ["VERSION", "RECORDED", "TYPE", "DATA"];
            table(&head, &rows, |_, _, text| text.to_owned()).iter().for_each(|line| out(line));
        }
    }
    Ok(())
}

fn as_json(event: &Recorded) -> Value {
    let (subject, erased) = match &event.privacy {
        Privacy::None => (None, false),
        Privacy::About(subject) => (Some(subject.to_string()), false),
        Privacy::Erased(subject) => (Some(subject.to_string()), true),
    };
    json!({
        "version": event.version.get(),
        "position": event.position.get(),
        "id": event.id.to_string(),
        "type": event.event_type,
        "revision": event.revision,
        "data": event.data,
        "metadata": event.metadata.to_json(),
        "subject": subject,
        "erased": erased,
        "recorded_at": rfc3339(event.recorded_at),
    })
}

fn stream(text: &str) -> Result<StreamId, String> {
    text.parse::<StreamId>().map_err(|error| error.to_string())
}
