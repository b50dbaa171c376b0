//! Drives a release: looks at the instances, writes what is next, until it ends.
//!
//! It can be killed at any point and begun again, by anybody: what it knows is in the center.

use std::time::Duration;

use regatta_config::center::{CenterError, Journal};
use regatta_config::release::{Action, Phase, Release as State, Writes};

use super::super::access::{Center, now_ms, when};
use super::{find, print};
use crate::failure::Failure;
use crate::output::{Format, err, out};

/// Time between two looks; a short window is looked at more often.
const LOOK: Duration = Duration::from_secs(1);

/// Drives it to its end, or until it halts or Ctrl-C.
pub(super) async fn drive(
    center: &Center,
    id: &str,
    by: &str,
    format: Format,
) -> Result<(), Failure> {
    let driving = to_the_end(center, id, by, format);
    tokio::select! {
        ended = driving => return ended,
        _ = tokio::signal::ctrl_c() => {}
    }
    Err(Failure::new(format!(
        "{id} stays where it is; go on with `regatta config release continue {id}`, or take it back \
         with `regatta config release rollback {id}`"
    )))
}

async fn to_the_end(center: &Center, id: &str, by: &str, format: Format) -> Result<(), Failure> {
    let mut told = 0;
    let mut is_away = false;
    loop {
        match step(center, id, by).await {
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
async fn step(center: &Center, id: &str, by: &str) -> Result<State, Broken> {
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
    let reports = center.reports(Some(&release.service)).await?;
    let before = release.clone();
    let action = release.advance(now_ms(), &reports);
    let writes = Writes::new(&center.layout, &release);
    let commit = match &action {
        Action::Wait if release == before => return Ok(release),
        Action::Wait | Action::Halt => writes.keep(read),
        Action::Stage(rollout) => writes.stage(read, rollout),
        Action::Finish | Action::RollBack => {
            let (commit, action) = match action {
                Action::Finish => (writes.finish(read), "release"),
                _ => (writes.take_back(read), "roll back release"),
            };
            let entry = writes.journal(now_ms(), by, action);
            let journal = Journal::new(center.layout.clone());
            journal.add(&*center.port, commit, &entry, rand::random()).await?
        }
    };
    match center.port.commit(commit).await {
        Ok(_) => Ok(release),
        Err(CenterError::Conflict { .. }) => Ok(before),
        Err(error) => Err(error.into()),
    }
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
