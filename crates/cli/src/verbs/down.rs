//! `regatta down`: stops what runs.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Format, out};
use crate::system::Place;
use crate::verbs::up::duration;

/// What a system that is still being built is allowed: it has nothing to finish.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// What the supervisor itself may take beyond its parts.
const MARGIN: Duration = Duration::from_secs(10);

/// Stops the running system, and cleans up after one that was killed.
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// How long it may take, such as 90s or 2m. Default: what `up` allows it, and 10s more.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    within: Option<Duration>,
}

impl Down {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let layout = place.layout()?;
        let allowed = place.state().ok().flatten().map(|state| state.stop_within_ms);
        let allowed = allowed.map_or(STOP_WITHIN, Duration::from_millis);
        let within = self.within.unwrap_or(allowed.saturating_add(MARGIN));
        let stopped = regatta_supervisor::down(&layout, within).await?;
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
