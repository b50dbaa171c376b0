//! `regatta down`: stops what runs.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Format, out};
use crate::system::Place;
use crate::verbs::up::duration;

/// Stops the running system, and cleans up after one that was killed.
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// How long it may take, such as 90s or 2m.
    #[arg(long, value_name = "TIME", default_value = "4m", value_parser = duration)]
    within: Duration,
}

impl Down {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let layout = place.layout()?;
        let stopped = regatta_supervisor::down(&layout, self.within).await?;
        match (format, stopped.supervisor, stopped.leftovers) {
            (Format::Json, supervisor, leftovers) => {
                let value = json!({ "stopped": supervisor.is_some(), "supervisor": supervisor,
                    "leftovers": leftovers });
                out(&value.to_string());
            }
            (Format::Text, None, 0) => out("nothing runs"),
            (Format::Text, None, count) => out(&format!("ended {count} leftover processes")),
            (Format::Text, Some(_), _) => out("everything has stopped"),
        }
        Ok(())
    }
}
