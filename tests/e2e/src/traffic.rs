//! Steady traffic in the background, with a count of what came back.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Answer;

/// Callers that repeat one call until they are told to stop.
#[derive(Debug)]
pub struct Traffic {
    stop: watch::Sender<bool>,
    callers: JoinSet<()>,
    report: Arc<Mutex<Report>>,
}

/// What came back from the traffic.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many answers of each status; 0 stands for calls without an answer.
    pub statuses: BTreeMap<u16, u64>,
    /// One text per status, to say what went wrong.
    pub examples: BTreeMap<u16, String>,
    /// The answers that were acknowledged, in the order they came.
    pub acknowledged: Vec<String>,
}

impl Traffic {
    /// Starts callers; each waits `pause` between two calls. The call gets a number of its own.
    pub fn start<Call, Future_>(callers: u64, pause: Duration, call: Call) -> Self
    where
        Call: Fn(u64) -> Future_ + Clone + Send + 'static,
        Future_: Future<Output = Result<Answer>> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let report = Arc::<Mutex<Report>>::default();
        let mut tasks = JoinSet::new();
        for caller in 0..callers {
            let (call, report, stopped) = (call.clone(), report.clone(), stopped.clone());
            tasks.spawn(async move {
                for round in 0.. {
                    if *stopped.borrow() {
                        break;
                    }
                    let answer = call(round * callers + caller).await;
                    report.lock().unwrap_or_else(PoisonError::into_inner).add(answer);
                    tokio::time::sleep(pause).await;
                }
            });
        }
        Self { stop, callers: tasks, report }
    }

    /// How many calls have been answered so far.
    pub fn answered(&self) -> u64 {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).statuses.values().sum()
    }

    /// Waits until so many more calls are answered.
    ///
    /// # Errors
    ///
    /// When that took longer than two minutes.
    pub async fn more(&self, calls: u64) -> Result<()> {
        let until = self.answered() + calls;
        for _ in 0..2400 {
            if self.answered() >= until {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("only {} of {until} calls were answered within two minutes", self.answered())
    }

    /// Waits until so many more calls are acknowledged, whatever others come to.
    ///
    /// # Errors
    ///
    /// When that took longer than two minutes.
    pub async fn more_acknowledged(&self, calls: usize) -> Result<()> {
        let acknowledged = || {
            let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            report.acknowledged.len()
        };
        let until = acknowledged() + calls;
        for _ in 0..2400 {
            if acknowledged() >= until {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("only {} of {until} calls were acknowledged within two minutes", acknowledged())
    }

    /// Lets every caller finish its call and returns the count.
    pub async fn stop(mut self) -> Report {
        // Nobody listens when every caller has ended, which is as good.
        let _ = self.stop.send(true);
        while self.callers.join_next().await.is_some() {}
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Report {
    /// Answers with this status.
    pub fn count(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// Calls that were answered with anything but these statuses.
    pub fn others(&self, expected: &[u16]) -> u64 {
        let others = self.statuses.iter().filter(|(status, _)| !expected.contains(status));
        others.map(|(_, count)| count).sum()
    }

    fn add(&mut self, answer: Result<Answer>) {
        let (status, text) = match answer {
            Ok(answer) => (answer.status, answer.text),
            Err(error) => (0, format!("{error:#}")),
        };
        *self.statuses.entry(status).or_default() += 1;
        if (200..300).contains(&status) {
            self.acknowledged.push(text);
        } else {
            self.examples.insert(status, text);
        }
    }
}
