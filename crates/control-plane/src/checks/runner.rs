//! The task that runs what is due.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rand::Rng;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Due, Prober, Schedule};
use crate::metrics::Metrics;
use crate::registry::{CheckKind, Command, Delta, Key, Status, Turn};
use crate::store::Engine;

/// What is overdue and written in one commit, at most: some milliseconds of the writer's time.
const MOST_TOGETHER: usize = 4096;

/// The schedule, shared by the writer, the API and the runner.
#[derive(Clone, Debug)]
pub(crate) struct SharedSchedule {
    schedule: Arc<Mutex<Schedule>>,
    changed: Arc<Notify>,
}

/// Runs what is due until drain.
#[derive(Debug)]
pub(crate) struct Runner {
    schedule: SharedSchedule,
    engine: Engine,
    prober: Prober,
    /// How many probes may be on their way; the others wait for a permit.
    permits: Arc<Semaphore>,
    probes: TaskTracker,
    metrics: Metrics,
}

impl SharedSchedule {
    pub(crate) fn new(schedule: Schedule) -> Self {
        Self { schedule: Arc::new(Mutex::new(schedule)), changed: Arc::default() }
    }

    /// Follows a committed change.
    pub(crate) fn follow(&self, delta: &Delta) {
        match delta {
            Delta::PutCheck(check) => self.lock().put(now(), check),
            Delta::RemoveCheck(key) => self.lock().remove(key),
            _ => return,
        }
        self.changed.notify_one();
    }

    /// A service reported on its TTL check.
    pub(crate) fn reported(&self, key: &Key) {
        self.lock().reported(now(), key);
        // One that had expired has a time again, which may be before what the runner waits for.
        self.changed.notify_one();
    }

    /// A service is reporting on its TTL check; called in the order of the commits.
    pub(crate) fn heard(&self, key: &Key) {
        self.lock().heard(key);
    }

    /// Changes what follows from something overdue, if it still holds.
    fn decide(&self, turn: &mut Turn<'_>, due: Due, metrics: &Metrics) {
        let (before, is_reaping) = (turn.index(), matches!(due, Due::Reap { .. }));
        let command = match due {
            Due::Expired { key, kind, heard } => {
                if !self.lock().is_silent(&key, &kind, heard) {
                    return;
                }
                metrics.check(kind.name(), Status::Critical);
                let (status, output) = (Status::Critical, expired(turn.output(&key)));
                Command::Probed { key, kind, status, output }
            }
            Due::Reap { key } => {
                tracing::warn!(
                    check = key.id,
                    node = key.node,
                    "critical for too long; deregistering its service"
                );
                Command::Reap { check: key }
            }
            Due::Probe { .. } => return,
        };
        if let Err(error) = turn.command(command) {
            tracing::warn!(%error, "cannot record a check's result");
        }
        if is_reaping && turn.index() > before {
            metrics.reaped();
        }
    }

    /// How many checks are known.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        // A panic in the schedule would be a bug; the next call finds it no worse.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runner {
    pub(crate) fn new(
        schedule: SharedSchedule,
        engine: Engine,
        prober: Prober,
        max_running: usize,
        metrics: Metrics,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(max_running.min(Semaphore::MAX_PERMITS)));
        Self { schedule, engine, prober, permits, probes: TaskTracker::new(), metrics }
    }

    /// Runs checks until `drain`; probes on their way are dropped then.
    pub(crate) async fn run(self, drain: CancellationToken) {
        while !drain.is_cancelled() {
            let mut overdue = Vec::new();
            while overdue.len() < MOST_TOGETHER {
                let due = self.schedule.lock().pop(now());
                match due {
                    Some(Due::Probe { key, kind, run }) => self.start(key, kind, run, &drain),
                    Some(due) => overdue.push(due),
                    None => break,
                }
            }
            match overdue.is_empty() {
                true => self.wait(&drain).await,
                false => self.settle(overdue, &drain),
            }
        }
        self.probes.close();
        self.probes.wait().await;
    }

    /// Writes down what is overdue, in one commit, while probes go on. What cannot be written is
    /// due again in a moment, so that no dead service stays passing for a full disk.
    fn settle(&self, overdue: Vec<Due>, drain: &CancellationToken) {
        let (schedule, engine, metrics) =
            (self.schedule.clone(), self.engine.clone(), self.metrics.clone());
        let settle = async move {
            let (decided, deciding) = (overdue.clone(), schedule.clone());
            let commit = move |turn: &mut Turn<'_>| {
                decided.into_iter().for_each(|due| deciding.decide(turn, due, &metrics));
            };
            let written = engine.write(commit).await;
            if let Err(error) = written {
                let error = regatta_core::Chain(&error);
                tracing::warn!(%error, count = overdue.len(), "cannot record expired checks; trying again");
                let mut planned = schedule.lock();
                overdue.iter().for_each(|due| planned.put_back(now(), due));
            }
            schedule.changed.notify_one();
        };
        let drain = drain.clone();
        self.probes.spawn(async move {
            tokio::select! {
                () = drain.cancelled() => (),
                () = settle => (),
            }
        });
    }

    fn start(&self, key: Key, kind: CheckKind, run: u64, drain: &CancellationToken) {
        let (schedule, engine) = (self.schedule.clone(), self.engine.clone());
        let (prober, permits) = (self.prober.clone(), Arc::clone(&self.permits));
        let metrics = self.metrics.clone();
        let probe = async move {
            let permit = permits.acquire_owned().await;
            let begun = now();
            let (status, output) = prober.probe(&kind).await;
            drop(permit);
            metrics.probed(now().saturating_duration_since(begun));
            metrics.check(kind.name(), status);
            let random = rand::rng().random();
            let is_enough = schedule.lock().finished(now(), &key, run, status, random);
            schedule.changed.notify_one();
            if is_enough {
                submit(&engine, Command::Probed { key, kind, status, output }).await;
            }
        };
        let drain = drain.clone();
        self.probes.spawn(async move {
            tokio::select! {
                () = drain.cancelled() => (),
                () = probe => (),
            }
        });
    }

    async fn wait(&self, drain: &CancellationToken) {
        let next = self.schedule.lock().next();
        let time = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = drain.cancelled() => (),
            () = self.schedule.changed.notified() => (),
            () = time => (),
        }
    }
}

async fn submit(engine: &Engine, command: Command) {
    if let Err(error) = engine.submit(command).await {
        tracing::warn!(error = %regatta_core::Chain(&error), "cannot record a check's result");
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
/// What is said of a silent service, in Consul's words: with what it said last.
fn expired(last: &str) -> String {
    match last {
        "" => "TTL expired".to_owned(),
        last => format!("TTL expired (last output before timeout follows): {last}"),
    }
}
