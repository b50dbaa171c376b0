//! `regatta config diff`: between two revisions of a service, or between two services.

use clap::Args;
use regatta_config::center::{Difference, Place as Lies, Query, Values, differences};
use serde_json::json;

use super::access::{Access, Center, known, shown};
use crate::failure::Failure;
use crate::output::{Format, Paint, out};
use crate::system::Place;

/// Prints what differs: between two revisions of a service's settings, or between two services.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The service, or _shared.
    service: String,
    /// The other service, to compare with.
    #[arg(required_unless_present = "from")]
    other: Option<String>,
    /// The settings of the (first) service as of this revision, 1 or more.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// The settings on the other side as of this revision. Default: now.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    /// Shows secrets too.
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    access: Access,
}

impl Diff {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        known(&self.service)?;
        let right = self.other.as_ref().unwrap_or(&self.service);
        known(right)?;
        let before = values(&center, &self.service, self.from).await?;
        let after = values(&center, right, self.to).await?;
        let found = differences(&before, &after);
        print(&found, self.reveal, format);
        Ok(())
    }
}

/// The settings of a service by their dotted keys; those of instances as `instance/key`.
async fn values(center: &Center, service: &str, at: Option<u64>) -> Result<Values, Failure> {
    let query = Query { at, ..Query::prefix(center.layout.service(service)) };
    let items = center.port.list(&query).await?.items;
    let value = |item: &regatta_config::center::Item| {
        let key = match center.layout.place(service, &item.key)? {
            Lies::Setting { key } => key.to_owned(),
            Lies::OfInstance { instance, key } => format!("{instance}/{key}"),
            Lies::Rollout | Lies::Other => return None,
        };
        Some((key, item.value.to_string()))
    };
    Ok(items.iter().filter_map(value).collect())
}

/// One line for each value that goes, and one for each that comes.
pub(super) fn print(found: &[Difference], reveal: bool, format: Format) {
    let show = |key: &str, value: &Option<String>| value.as_ref().map(|it| shown(key, it, reveal));
    match format {
        Format::Json => {
            let entry = |it: &Difference| {
                json!({ "key": it.key, "before": show(&it.key, &it.before),
                    "after": show(&it.key, &it.after) })
            };
            out(&serde_json::Value::from_iter(found.iter().map(entry)).to_string());
        }
        Format::Text if found.is_empty() => out("nothing differs"),
        Format::Text => {
            let paint = Paint::of_stdout();
            for it in found {
                out(&paint.bold(&it.key));
                if let Some(before) = show(&it.key, &it.before) {
                    out(&format!("  - {before}"));
                }
                if let Some(after) = show(&it.key, &it.after) {
                    out(&format!("  + {after}"));
                }
            }
        }
    }
}
