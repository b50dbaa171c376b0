//! `regatta events forget`: takes off a group that nobody will join again.

use clap::Args;
use regatta_events::GroupName;
use serde_json::json;

use super::place::{BusPlace, group, known};
use crate::failure::Failure;
use crate::output::{Format, out};
use crate::system::Place;

/// Takes off a consumer group with its dead letters, so that the log need not keep events for it.
#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// The group, such as order-service-welcome.
    #[arg(value_name = "GROUP", value_parser = group)]
    group: GroupName,
    /// Do it; without, it only tells what would be lost.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    bus: BusPlace,
}

impl Forget {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let bus = self.bus.open(place).await?;
        let standing = known(&*bus, &self.group).await?;
        if !self.yes {
            return Err(Failure::usage(format!(
                "{} has {} events open, {} more of the log before it and {} dead letters, and would \
                 not get them any more; say --yes",
                self.group, standing.open, standing.behind, standing.dead
            )));
        }
        let forgotten = bus.forget(&self.group).await?;
        match format {
            Format::Json => out(&json!({ "forgotten": forgotten }).to_string()),
            Format::Text => out(&format!("{} is forgotten", self.group)),
        }
        Ok(())
    }
}
