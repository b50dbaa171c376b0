//! The task that runs what is due.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rand::Rng;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Due, Prober, Schedule};
use crate::registry::{CheckKind, Command, Delta, Key, Status};
use crate::store::Engine;

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
    ) -> Self {
        let permits = Arc::new(Semaphore::new(max_running.min(Semaphore::MAX_PERMITS)));
        Self { schedule, engine, prober, permits, probes: TaskTracker::new() }
    }

    /// Runs checks until `drain`; probes on their way are dropped then.
    pub(crate) async fn run(self, drain: CancellationToken) {
        while !drain.is_cancelled() {
            let due = self.schedule.lock().pop(now());
            match due {
                Some(Due::Probe { key, kind, run }) => self.start(key, kind, run, &drain),
                Some(Due::Expired { key, kind }) => {
                    let output = "TTL expired".to_owned();
                    self.submit(Command::Probed { key, kind, status: Status::Critical, output })
                        .await;
                }
                Some(Due::Reap { key }) => {
                    tracing::warn!(
                        check = key.id,
                        node = key.node,
                        "critical for too long; deregistering its service"
                    );
                    self.submit(Command::Reap { check: key }).await;
                }
                None => self.wait(&drain).await,
            }
        }
        self.probes.close();
        self.probes.wait().await;
    }

    fn start(&self, key: Key, kind: CheckKind, run: u64, drain: &CancellationToken) {
        let (schedule, engine) = (self.schedule.clone(), self.engine.clone());
        let (prober, permits) = (self.prober.clone(), Arc::clone(&self.permits));
        let probe = async move {
            let permit = permits.acquire_owned().await;
            let (status, output) = prober.probe(&kind).await;
            drop(permit);
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

    async fn submit(&self, command: Command) {
        submit(&self.engine, command).await;
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
