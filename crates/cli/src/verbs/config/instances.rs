//! `regatta config instances`: who runs which revision, and who has refused one.

use clap::Args;
use regatta_config::center::Report;
use serde_json::json;

use super::access::{Access, known, when};
use crate::failure::Failure;
use crate::output::{Format, Paint, out, table};
use crate::system::Place;

/// Shows each instance with the revision of the config center that it runs, or has refused and why.
#[derive(Debug, Args)]
pub(crate) struct Instances {
    /// The service. Default: all.
    service: Option<String>,
    #[command(flatten)]
    access: Access,
}

impl Instances {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        if let Some(service) = &self.service {
            known(service)?;
        }
        let reports = center.reports(self.service.as_deref()).await?;
        match format {
            Format::Json => {
                let entry = |it: &Report| {
                    let refused = it.refused.as_ref();
                    json!({ "service": it.service, "instance": it.instance, "revision": it.revision,
                        "refused": refused.map(|it| json!({ "revision": it.revision,
                            "reason": it.reason })),
                        "release": it.release, "ready": it.ready, "at": when(it.at_ms) })
                };
                out(&serde_json::Value::from_iter(reports.iter().map(entry)).to_string());
            }
            Format::Text if reports.is_empty() => {
                out("no instance reports to the config center");
            }
            Format::Text => print(&reports),
        }
        Ok(())
    }
}

fn print(reports: &[Report]) {
    let row = |it: &Report| {
        let state = match &it.refused {
            Some(refused) => format!("refuses {}", refused.revision),
            None => "accepted".to_owned(),
        };
        let ready = if it.ready { "ready" } else { "not ready" };
        vec![
            it.instance.clone(),
            it.service.clone(),
            it.revision.to_string(),
            state,
            it.release.clone().unwrap_or_else(|| "-".to_owned()),
            ready.to_owned(),
        ]
    };
    let rows: Vec<_> = reports.iter().map(row).collect();
    let paint = Paint::of_stdout();
    let colour = |_: usize, column: usize, text: &str| match column {
        0 => paint.bold(text),
        _ => text.to_owned(),
    };
    let head = ["INSTANCE", "SERVICE", "REVISION", "STATE", "RELEASE", "HEALTH"];
    table(&head, &rows, colour).iter().for_each(|line| out(line));
    for report in reports {
        if let Some(refused) = &report.refused {
            out(&format!("{} refuses revision {}:", report.instance, refused.revision));
            refused.reason.lines().for_each(|line| out(&format!("  {line}")));
        }
    }
}
