//! `regatta config rollback`: the settings of a service as they were, in one transaction.

use std::time::Duration;

use clap::Args;
use regatta_config::center::{JournalChange, Place as Lies, Query, Snapshot, roll_back};
use serde_json::json;

use super::access::{Access, Center, Reason, known};
use super::takeover::Written;
use super::{diff, under_way};
use crate::failure::Failure;
use crate::output::{Format, out};
use crate::system::Place;
use crate::verbs::up::duration;

/// Makes the settings of a service what they were at a revision, in one transaction.
///
/// The revision must still be kept: Regatta's own center keeps an hour, etcd all until it is
/// compacted.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The service, or _shared.
    service: String,
    /// The revision; see `regatta config history`.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(u64).range(1..))]
    to: u64,
    /// Only this setting; may be given several times.
    #[arg(long, value_name = "KEY")]
    only: Vec<String>,
    /// Prints what would change, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Waits so long until every instance has taken it over; exit code 1 when one refuses it.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    wait: Option<Duration>,
    /// Also where a release under way changes one of them; that goes no further then.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    access: Access,
}

impl Rollback {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        known(&self.service)?;
        let past = self.settings(&center, Some(self.to)).await?;
        let is_meant = |key: &str| match center.layout.place(&self.service, key) {
            Some(Lies::Setting { key } | Lies::OfInstance { key, .. }) => {
                self.only.is_empty() || self.only.iter().any(|meant| meant == key)
            }
            _ => false,
        };
        let present = self.settings(&center, None).await?;
        let (_, changes) = roll_back(&past, &present, is_meant)?;
        if self.dry_run || changes.is_empty() {
            diff::print(&changes, false, format);
            return Ok(());
        }
        let make = || async {
            let present = self.settings(&center, None).await?;
            let (commit, changes) = roll_back(&past, &present, is_meant)?;
            let commit = under_way::beside(&center, &self.service, commit, self.force).await?;
            let change = |it: &regatta_config::center::Difference| {
                JournalChange::new(&it.key, it.before.as_deref(), it.after.as_deref())
            };
            let changes = changes.iter().map(change).collect();
            let action = format!("rollback to {}", self.to);
            Ok((commit, self.reason.entry(&action, &self.service, changes)))
        };
        let revision = center.change(make).await?;
        match format {
            Format::Json => {
                out(&json!({ "revision": revision, "changed": changes.len() }).to_string())
            }
            Format::Text => {
                diff::print(&changes, false, format);
                let service = &self.service;
                out(&format!("{service} is as of revision {} again, revision {revision}", self.to));
            }
        }
        let written = Written { service: &self.service, instance: None, revision };
        written.told(&center, self.wait).await
    }

    async fn settings(&self, center: &Center, at: Option<u64>) -> Result<Snapshot, Failure> {
        let query = Query { at, ..Query::prefix(center.layout.service(&self.service)) };
        Ok(center.port.list(&query).await?)
    }
}
