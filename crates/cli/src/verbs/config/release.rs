//! `regatta config release`: a change of settings in stages.

mod drive;
mod print;
mod start;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use regatta_config::center::{CenterError, Expected, Item, Layout, LeaseId, Place as Lies, Query};
use regatta_config::release::{Phase, Release as State, Rollout, Writes};

use super::access::{Access, Center, Reason, known, now_ms};
use super::under_way;
use crate::failure::Failure;
use crate::output::{Format, out};
use crate::system::Place;

/// Changes of settings that go to one instance, to a share, then to all.
#[derive(Debug, Subcommand)]
pub(crate) enum Release {
    Start(Box<start::Start>),
    Continue(Continue),
    Rollback(Rollback),
    Show(Show),
}

/// Goes on with a release whose verb was ended, or that has halted.
#[derive(Debug, Args)]
pub(crate) struct Continue {
    /// The release; see `regatta config releases`.
    id: String,
    /// Also where its settings were changed since it began: it writes over that.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    hold: drive::Hold,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    access: Access,
}

/// Takes a release back, under way or done: the settings from before hold again.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The release; see `regatta config releases`.
    id: String,
    /// Also where its settings were changed since it was done.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    access: Access,
}

/// Shows a release: where it stands, and what has happened.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The release; see `regatta config releases`.
    id: String,
    #[command(flatten)]
    access: Access,
}

/// Lists the releases that the config center knows, the oldest first.
#[derive(Debug, Args)]
pub(crate) struct Releases {
    /// The service. Default: all.
    service: Option<String>,
    #[command(flatten)]
    access: Access,
}

impl Release {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        match self {
            Self::Start(verb) => verb.run(place, format).await,
            Self::Continue(verb) => verb.run(place, format).await,
            Self::Rollback(verb) => verb.run(place, format).await,
            Self::Show(verb) => verb.run(place, format).await,
        }
    }
}

impl Continue {
    async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        let lease = self.hold.grant(&center).await?;
        if let Err(failure) = self.take_over(&center, lease).await {
            // Nothing was put with it; if it stays, it is over by itself.
            let _over = center.port.revoke(lease).await;
            return Err(failure);
        }
        drive::drive(&center, &self.id, &self.reason.by(), lease, format).await
    }

    /// Holds it from now on; one that has halted, or that nobody held any more, begins its stage
    /// anew.
    async fn take_over(&self, center: &Center, lease: LeaseId) -> Result<(), Failure> {
        let (mut release, read) = find(center, &self.id).await?;
        match &release.phase {
            Phase::Staging(_) | Phase::Halted { .. } => {}
            Phase::Done => {
                let text = format!("{} is done already; there is nothing to go on with", self.id);
                return Err(Failure::new(text));
            }
            Phase::RolledBack { .. } => {
                let text = format!("{} is rolled back already; start another one", self.id);
                return Err(Failure::new(text));
            }
        }
        if self.force {
            release.begin_from(&under_way::present(center, &release).await?);
        } else if let Some(reason) = under_way::overtaken(center, &release).await? {
            return Err(Failure::new(reason));
        }
        let seen = drive::rollout_of(center, &release).await?;
        let commit = match (&release.phase, &seen) {
            (Phase::Staging(_), Some(seen)) => {
                let writes = Writes::new(&center.layout, &release);
                match Rollout::parse(&seen.value).filter(|_| self.force) {
                    Some(same) => {
                        writes.stage(read, &same, Expected::Revision(seen.revision), lease)
                    }
                    None => writes.hold(seen, lease),
                }
            }
            _ => {
                release.lapse(now_ms());
                let reports = center.reports(Some(&release.service)).await?;
                // It has halted by now, so it always resumes.
                let Some(rollout) = release.resume(now_ms(), &reports) else { return Ok(()) };
                let expected =
                    seen.map_or(Expected::Absent, |seen| Expected::Revision(seen.revision));
                Writes::new(&center.layout, &release).stage(read, &rollout, expected, lease)
            }
        };
        match center.port.commit(commit).await {
            Err(CenterError::Conflict { .. }) => Err(Failure::new(format!(
                "{} has another release under way, or somebody else goes on with {}; see `regatta \
                 config releases {}`",
                release.service, self.id, release.service
            ))),
            committed => committed.map(|_| ()).map_err(Failure::from),
        }
    }
}

impl Rollback {
    async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        let by = self.reason.by();
        let why =
            if self.reason.why.is_empty() { format!("by {by}") } else { self.reason.why.clone() };
        let (found, _) = find(&center, &self.id).await?;
        if let Phase::RolledBack { .. } = found.phase {
            return Err(Failure::new(format!("{} is rolled back already", self.id)));
        }
        let make = || async {
            let (mut release, read) = find(&center, &self.id).await?;
            let was_open = release.is_open();
            release.roll_back(now_ms(), &why);
            let writes = Writes::new(&center.layout, &release);
            let commit = if was_open {
                let seen = drive::rollout_of(&center, &release).await?;
                writes.take_back(read, seen.as_ref())
            } else {
                let present = settings(&center, &release.service).await?;
                writes.undo(read, &present, self.force)?
            };
            Ok((commit, writes.journal(now_ms(), &by, "roll back release")))
        };
        let revision = center.change(make).await?;
        let (release, _) = find(&center, &self.id).await?;
        match format {
            Format::Json => out(&print::json(&release).to_string()),
            Format::Text => {
                let service = &release.service;
                out(&format!(
                    "{} is rolled back: {service} has the settings from before, revision {revision}",
                    self.id
                ));
            }
        }
        Ok(())
    }
}

impl Show {
    async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        let (release, _) = find(&center, &self.id).await?;
        match format {
            Format::Json => out(&print::json(&release).to_string()),
            Format::Text => print::whole(&release),
        }
        Ok(())
    }
}

impl Releases {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        if let Some(service) = &self.service {
            known(service)?;
        }
        let items = center.port.list(&Query::prefix(center.layout.releases())).await?.items;
        let is_meant =
            |it: &State| self.service.as_ref().is_none_or(|service| it.service == *service);
        let mut found: Vec<State> = items.iter().filter_map(|it| State::parse(&it.value)).collect();
        found.retain(is_meant);
        found.sort_by_key(|it| it.notes.first().map_or(0, |note| note.at_ms));
        print::list(&found, format);
        Ok(())
    }
}

/// A release, and the revision of its state.
async fn find(center: &Center, id: &str) -> Result<(State, u64), Failure> {
    let none = || {
        let text = format!("there is no release `{id}`; `regatta config releases` lists all");
        Failure::new(text)
    };
    let item = center.port.get(&center.layout.release(id)).await?.ok_or_else(none)?;
    let release = State::parse(&item.value).ok_or_else(none)?;
    Ok((release, item.revision))
}

/// The settings of a service by their dotted keys.
async fn settings(center: &Center, service: &str) -> Result<BTreeMap<String, Item>, CenterError> {
    let layout: &Layout = &center.layout;
    let items = center.port.list(&Query::prefix(layout.service(service))).await?.items;
    let setting = |item: Item| match layout.place(service, &item.key)? {
        Lies::Setting { key } => Some((key.to_owned(), item.clone())),
        _ => None,
    };
    Ok(items.into_iter().filter_map(setting).collect())
}
