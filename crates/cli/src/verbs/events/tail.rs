//! `regatta events tail`: events as they come.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::history::{Which, as_json};
use super::place::BusPlace;
use super::when::rfc3339;
use crate::failure::Failure;
use crate::output::{Format, out};
use crate::system::Place;

/// How often it looks: a person reads no faster, and a look is one query.
const EVERY: Duration = Duration::from_millis(200);
/// How many events are read at a time.
const PAGE: u32 = 500;

/// Shows events as they come, until Ctrl-C; from now on, unless --after or --since say otherwise.
///
/// It joins no consumer group: it takes nothing from anybody.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    bus: BusPlace,
}

impl Tail {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let bus = self.bus.open(place).await?;
        let mut query = self.which.query(PAGE)?;
        if !self.which.has_start() {
            query.since = Some(time::OffsetDateTime::now_utc());
        }
        loop {
            let page = bus.history(&query).await?;
            for logged in &page {
                match format {
                    Format::Json => out(&as_json(logged).to_string()),
                    Format::Text => {
                        let event = &logged.event;
                        let data = event.json().map_or_else(String::new, Value::to_string);
                        let taken = rfc3339(logged.recorded_at);
                        out(&format!("{taken}  {}  {data}", event.event_type()));
                    }
                }
                query.after = logged.position;
            }
            if page.len() < PAGE as usize {
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}
