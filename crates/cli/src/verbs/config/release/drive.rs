//! Drives a release: looks at the instances, writes what is next, until it ends.
//!
//! It can be killed at any point and begun again, by anybody: what it knows is in the center. While
//! it lives it renews a lease, and the instances keep the changes no longer than that.

use std::time::Duration;

use clap::Args;
use regatta_config::center::{CenterError, Committed, Expected, Item, Journal, LeaseId};
use regatta_config::release::{Action, Phase, Release as State, Rollout, Writes};

use super::super::access::{Center, now_ms, when};
use super::super::under_way;
use super::{find, print};
use crate::failure::Failure;
use crate::output::{Format, err, out};
use crate::verbs::up::duration;

/// Time between two looks; a short window is looked at more often.
const LOOK: Duration = Duration::from_secs(1);

/// How long instances keep the changes of a release that nobody drives.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Hold {
    /// How long the instances of a stage keep the changes when this verb is gone or does not reach
    /// the config center; then they fall back to the settings from before. At least 2s.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    hold: Duration,
}

impl Hold {
    /// A lease for the rollout.
    pub(super) async fn grant(self, center: &Center) -> Result<LeaseId, Failure> {
        if self.hold < Duration::from_secs(2) {
            return Err(Failure::usage("`--hold` is less than 2s; give it 2s or more"));
        }
        Ok(center.port.grant(self.hold).await?)
    }
}

/// Drives it to its end, or until it halts or Ctrl-C.
pub(super) async fn drive(
    center: &Center,
    id: &str,
    by: &str,
    lease: LeaseId,
    format: Format,
) -> Result<(), Failure> {
    let driving = to_the_end(center, id, by, lease, format);
    tokio::select! {
        ended = driving => {
            // Nothing ends with it any more; if it stays, it is over by itself.
            let _over = center.port.revoke(lease).await;
            return ended;
        }
        _ = tokio::signal::ctrl_c() => {}
    }
    Err(Failure::new(format!(
        "{id} is driven by nobody: its instances soon fall back to the settings from before; go on \
         with `regatta config release continue {id}`, or take it back at once with `regatta config \
         release rollback {id}`"
    )))
}

async fn to_the_end(
    center: &Center,
    id: &str,
    by: &str,
    lease: LeaseId,
    format: Format,
) -> Result<(), Failure> {
    let mut told = 0;
    let mut is_away = false;
    loop {
        match step(center, id, by, lease).await {
            Ok(release) => {
                is_away = false;
                if format == Format::Text {
                    tell(&release, &mut told);
                }
                if !matches!(release.phase, Phase::Staging(_)) {
                    return end(&release, format);
                }
                let look = Duration::from_millis(release.thresholds.window_ms / 10);
                tokio::time::sleep(look.clamp(Duration::from_millis(50), LOOK)).await;
            }
            // It goes on by itself when the center is back.
            Err(Broken::Away(reason)) => {
                if !is_away {
                    err(&format!("waiting for the config center: {reason}"));
                }
                is_away = true;
                tokio::time::sleep(LOOK).await;
            }
            Err(Broken::Failed(failure)) => return Err(failure),
        }
    }
}

enum Broken {
    Away(String),
    Failed(Failure),
}

impl From<CenterError> for Broken {
    fn from(error: CenterError) -> Self {
        match error.is_retryable() {
            true => Self::Away(regatta_core::Chain(&error).to_string()),
            false => Self::Failed(error.into()),
        }
    }
}

/// One look, and what follows from it. Another driver that was faster is no harm: what it wrote is
/// read with the next look.
async fn step(center: &Center, id: &str, by: &str, lease: LeaseId) -> Result<State, Broken> {
    match center.port.renew(lease).await {
        // It is over, with its rollout: that is seen below.
        Ok(()) | Err(CenterError::NoLease) => {}
        Err(error) => return Err(error.into()),
    }
    let item = center.port.get(&center.layout.release(id)).await?;
    let (mut release, read) = match item {
        Some(item) => match State::parse(&item.value) {
            Some(release) => (release, item.revision),
            None => return Err(Broken::Failed(Failure::new(format!("`{id}` is no release")))),
        },
        None => match find(center, id).await {
            Ok(found) => found,
            Err(failure) => return Err(Broken::Failed(failure)),
        },
    };
    let before = release.clone();
    let Some(seen) = rollout_of(center, &release).await? else {
        release.lapse(now_ms());
        if release == before {
            return Ok(release);
        }
        let lapsed = Writes::new(&center.layout, &release).keep(read);
        return committed(center.port.commit(lapsed).await, release, before);
    };
    let reports = center.reports(Some(&release.service)).await?;
    let action = match under_way::overtaken(center, &release).await? {
        Some(reason) => release.stop(now_ms(), &reason, &reports),
        None => release.advance(now_ms(), &reports),
    };
    let writes = Writes::new(&center.layout, &release);
    let commit = match &action {
        Action::Wait if release == before => return Ok(release),
        Action::Wait => writes.keep(read),
        Action::Halt => writes.halt(read, &seen),
        Action::Stage(rollout) => {
            writes.stage(read, rollout, Expected::Revision(seen.revision), lease)
        }
        Action::Finish | Action::RollBack => {
            let (commit, action) = match action {
                Action::Finish => (writes.finish(read, &seen), "release"),
                _ => (writes.take_back(read, Some(&seen)), "roll back release"),
            };
            let entry = writes.journal(now_ms(), by, action);
            let journal = Journal::new(center.layout.clone());
            journal.add(&*center.port, commit, &entry, rand::random()).await?
        }
    };
    committed(center.port.commit(commit).await, release, before)
}

/// The release as it stands after a commit.
fn committed(
    result: Result<Committed, CenterError>,
    release: State,
    before: State,
) -> Result<State, Broken> {
    match result {
        Ok(_) => Ok(release),
        // Somebody was faster, or the lease was over: the next look tells.
        Err(CenterError::Conflict { .. } | CenterError::NoLease) => Ok(before),
        Err(error) => Err(error.into()),
    }
}

/// What the instances follow of a release; none when nobody held it any more.
pub(super) async fn rollout_of(
    center: &Center,
    release: &State,
) -> Result<Option<Item>, CenterError> {
    let found = center.port.get(&center.layout.rollout(&release.service)).await?;
    let is_own = |item: &Item| {
        Rollout::parse(&item.value).is_some_and(|rollout| rollout.release == release.id)
    };
    Ok(found.filter(is_own))
}

/// Prints what has happened since.
fn tell(release: &State, told: &mut u64) {
    for note in release.notes.iter().filter(|note| note.at_ms > *told) {
        out(&format!("{} {}", when(note.at_ms), note.text));
    }
    *told = release.notes.last().map_or(*told, |note| note.at_ms.max(*told));
}

fn end(release: &State, format: Format) -> Result<(), Failure> {
    let id = &release.id;
    if format == Format::Json {
        out(&print::json(release).to_string());
    }
    match &release.phase {
        Phase::Done | Phase::Staging(_) => {
            if format == Format::Text {
                out(&format!("{id} is done: {} has {}", release.service, release.summary()));
            }
            Ok(())
        }
        Phase::Halted { reason, .. } => Err(Failure::new(format!(
            "{id} has halted: {reason}; take it back with `regatta config release rollback {id}`, or go \
             on with `regatta config release continue {id}`"
        ))),
        Phase::RolledBack { reason } => Err(Failure::new(format!(
            "{id} is rolled back: {reason}; the settings from before hold"
        ))),
    }
}
