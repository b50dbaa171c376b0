//! `regatta ps`: what runs.

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Format, Paint, out, parts_table, state_json};
use crate::system::Place;

/// Shows each part of the running system: where it is, what it does.
#[derive(Debug, Args)]
pub(crate) struct Ps {}

impl Ps {
    pub(crate) fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let layout = place.layout()?;
        let running = regatta_supervisor::running(&layout)?;
        match (place.state()?, running, format) {
            (Some(state), _, Format::Json) => out(&state_json(&state, true).to_string()),
            (Some(state), _, Format::Text) => {
                let services = state.parts.iter().map(|part| part.service.as_str());
                let paint = Paint::of_stdout().with_services(services);
                parts_table(&state.parts, &paint).iter().for_each(|line| out(line));
            }
            (None, Some(_), Format::Json) => {
                out(&json!({ "running": true, "parts": [] }).to_string())
            }
            (None, Some(_), Format::Text) => out("building; parts appear once they start"),
            (None, None, _) if layout.state_file().exists() => {
                return Err(Failure::new(
                    "the process that ran this system is gone without stopping it; clean up with \
                     `regatta down`",
                ));
            }
            (None, None, Format::Json) => {
                out(&json!({ "running": false, "parts": [] }).to_string())
            }
            (None, None, Format::Text) => out("nothing runs; start it with `regatta up`"),
        }
        Ok(())
    }
}
