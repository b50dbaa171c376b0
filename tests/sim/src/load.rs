//! Calls at a steady rate, and how they went.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Calls at a steady rate, whether or not those before have ended.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Calls per second.
    pub per_second: u32,
    /// For how long.
    pub lasting: Duration,
}

/// How the calls went.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The time of each call, in the order in which they ended.
    times: Vec<Duration>,
    /// What was wrong with each that failed.
    pub failures: Vec<String>,
}

impl Load {
    /// Makes the calls and waits for all.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves calls in flight running.
    pub async fn run<F>(self, call: impl Fn(u64) -> F) -> Report
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let (report, tasks) = (Arc::<Mutex<Report>>::default(), TaskTracker::new());
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / self.per_second);
        let count = (self.lasting.as_secs_f64() * f64::from(self.per_second)) as u64;
        for number in 0..count {
            ticks.tick().await;
            let (call, report) = (call(number), Arc::clone(&report));
            tasks.spawn(async move {
                let started = Instant::now();
                let result = call.await;
                let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                report.times.push(started.elapsed());
                if let Err(error) = result {
                    report.failures.push(format!("call {number}: {error}"));
                }
            });
        }
        tasks.close();
        tasks.wait().await;
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *report)
    }
}

impl Report {
    /// How many calls were made.
    pub fn calls(&self) -> usize {
        self.times.len()
    }

    /// The share of calls that failed, 0 to 1.
    pub fn failed_share(&self) -> f64 {
        self.failures.len() as f64 / self.calls().max(1) as f64
    }

    /// The time within which this share of calls ended.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        let rank = (times.len() as f64 * share).ceil() as usize;
        times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed_share() * 100.0;
        let (p50, p99) = (self.quantile(0.5), self.quantile(0.99));
        write!(f, "{} calls, {failed:.2} % failed, p50 {p50:?}, p99 {p99:?}", self.calls())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_come_at_the_rate_and_are_all_counted() {
        let load = Load { per_second: 10, lasting: Duration::from_secs(2) };
        let started = Instant::now();
        let report = load
            .run(|number| async move {
                tokio::time::sleep(Duration::from_millis(if number == 0 { 500 } else { 10 })).await;
                if number % 4 == 0 { Err("expected".to_owned()) } else { Ok(()) }
            })
            .await;
        assert_eq!(started.elapsed(), Duration::from_millis(1_910));
        assert_eq!((report.calls(), report.failures.len()), (20, 5));
        assert_eq!(report.quantile(0.95), Duration::from_millis(10));
        assert_eq!(report.quantile(0.99), Duration::from_millis(500));
    }
}
