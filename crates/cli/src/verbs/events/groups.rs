//! `regatta events groups`: who hears, and how far each has come.

use clap::Args;
use regatta_events::GroupStanding;
use serde_json::{Value, json};

use super::place::BusPlace;
use crate::failure::Failure;
use crate::output::{Format, out, table};
use crate::system::Place;

/// Lists the consumer groups: how many events each has before it, in its hands and given up.
#[derive(Debug, Args)]
pub(crate) struct Groups {
    #[command(flatten)]
    bus: BusPlace,
}

impl Groups {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let groups = self.bus.open(place).await?.groups().await?;
        match format {
            Format::Json => {
                let all: Vec<_> = groups.iter().map(as_json).collect();
                out(&Value::from(all).to_string());
            }
            Format::Text => {
                let row = |standing: &GroupStanding| {
                    let GroupStanding { group, position, behind, open, dead } = standing;
                    let figures = [position, behind, open, dead].map(u64::to_string);
                    [vec![group.to_string()], figures.to_vec()].concat()
                };
                let rows: Vec<_> = groups.iter().map(row).collect();
                let head = ["GROUP", "POSITION", "BEHIND", "OPEN", "DEAD"];
                table(&head, &rows, |_, _, text| text.to_owned()).iter().for_each(|line| out(line));
            }
        }
        Ok(())
    }
}

fn as_json(standing: &GroupStanding) -> Value {
    json!({
        "group": standing.group.as_str(),
        "position": standing.position,
        "behind": standing.behind,
        "open": standing.open,
        "dead": standing.dead,
    })
}
