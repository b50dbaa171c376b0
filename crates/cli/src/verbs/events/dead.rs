//! `regatta events dead`: what a group has given up, and why.

use clap::Args;
use regatta_events::{DeadLetter, EventBus, GroupName};
use serde_json::{Value, json};

use super::place::{BusPlace, group, known};
use super::when::rfc3339;
use crate::failure::Failure;
use crate::output::{Format, out, table};
use crate::system::Place;

/// How many dead letters are read at a time.
const PAGE: u32 = 500;

/// Shows the dead letters of a consumer group, with the reason and each failed delivery.
#[derive(Debug, Args)]
pub(crate) struct Dead {
    /// The group, such as order-service.
    #[arg(value_name = "GROUP", value_parser = group)]
    group: GroupName,
    /// Only what comes after this position.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    bus: BusPlace,
}

impl Dead {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let bus = self.bus.open(place).await?;
        known(&*bus, &self.group).await?;
        let letters = bus.dead_letters(&self.group, self.after, self.limit).await?;
        show(&letters, format);
        Ok(())
    }
}

/// Every dead letter of the group.
pub(super) async fn all(bus: &dyn EventBus, group: &GroupName) -> Result<Vec<DeadLetter>, Failure> {
    let mut letters: Vec<DeadLetter> = Vec::new();
    loop {
        let after = letters.last().map_or(0, |last| last.position);
        let page = bus.dead_letters(group, after, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        letters.extend(page);
        if is_last {
            return Ok(letters);
        }
    }
}

pub(super) fn show(letters: &[DeadLetter], format: Format) {
    match format {
        Format::Json => {
            let all: Vec<_> = letters.iter().map(as_json).collect();
            out(&Value::from(all).to_string());
        }
        Format::Text => {
            let row = |letter: &DeadLetter| {
                vec![
                    letter.position.to_string(),
                    rfc3339(letter.died_at),
                    letter.event.event_type().to_owned(),
                    letter.event.id().to_owned(),
                    letter.failures.len().to_string(),
                    letter.reason.clone(),
                ]
            };
            let rows: Vec<_> = letters.iter().map(row).collect();
            let head = ["POSITION", "DIED", "TYPE", "ID", "FAILURES", "REASON"];
            table(&head, &rows, |_, _, text| text.to_owned()).iter().for_each(|line| out(line));
        }
    }
}

fn as_json(letter: &DeadLetter) -> Value {
    let failure = |failure: &regatta_events::FailedDelivery| json!({ "number": failure.number, "at": rfc3339(failure.at), "reason": failure.reason });
    let event = serde_json::from_str(&letter.event.to_json_string()).unwrap_or(Value::Null);
    json!({
        "position": letter.position,
        "died_at": rfc3339(letter.died_at),
        "reason": letter.reason,
        "failures": letter.failures.iter().map(failure).collect::<Vec<_>>(),
        "event": event,
    })
}
