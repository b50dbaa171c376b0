//! `regatta events replay`: sets a group back, or forward.

use clap::Args;
use regatta_events::{GroupName, HistoryQuery, Start};
use serde_json::json;

use super::place::{BusPlace, group, known};
use super::when::moment;
use crate::failure::Failure;
use crate::output::{Format, err, out};
use crate::system::Place;

/// Up to how many events are counted; more is told as "at least".
const COUNTED: u32 = 100_000;

/// Sets a consumer group to a place in the log: what comes after it is delivered, again if it was
/// before. Tells first how many events that are.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The group, such as order-service.
    #[arg(value_name = "GROUP", value_parser = group)]
    group: GroupName,
    /// beginning, latest, the position after which to go on, a time, or how long ago, such as 10m.
    #[arg(long, value_name = "PLACE", value_parser = start)]
    from: Start,
    /// Only tells how many events that are.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    bus: BusPlace,
}

impl Replay {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let bus = self.bus.open(place).await?;
        known(&*bus, &self.group).await?;
        let mut query = HistoryQuery { limit: COUNTED, ..HistoryQuery::default() };
        let events = match self.from {
            Start::Latest => 0,
            from => {
                if let Start::After(position) = from {
                    query.after = position;
                }
                if let Start::Time(time) = from {
                    query.since = Some(time);
                }
                bus.history(&query).await?.len()
            }
        };
        let at_least = if events == COUNTED as usize { "at least " } else { "" };
        err(&format!("{at_least}{events} events of the log come after that, of all types"));
        if !self.dry_run {
            bus.replay(&self.group, self.from).await?;
        }
        match format {
            Format::Json => {
                out(&json!({ "events": events, "replayed": !self.dry_run }).to_string())
            }
            Format::Text if self.dry_run => out("nothing was changed"),
            Format::Text => out(&format!("{} goes on from there", self.group)),
        }
        Ok(())
    }
}

fn start(text: &str) -> Result<Start, String> {
    match text {
        "beginning" => Ok(Start::Beginning),
        "latest" => Ok(Start::Latest),
        text => match text.parse() {
            Ok(position) => Ok(Start::After(position)),
            Err(_) => moment(text)
                .map(Start::Time)
                .map_err(|error| format!("{error}; or beginning, latest, or a position")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_end_a_position_or_a_time() {
        assert_eq!(start("beginning"), Ok(Start::Beginning));
        assert_eq!(start("latest"), Ok(Start::Latest));
        assert_eq!(start("42"), Ok(Start::After(42)));
        assert!(matches!(start("10m"), Ok(Start::Time(_))));
        assert!(start("now").unwrap_err().contains("beginning"));
    }
}
