//! Follows keys over outages: every change once, the last known state kept.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use regatta_core::Chain;
use tokio_util::sync::CancellationToken;

use super::{CenterError, Change, ConfigCenter, Known, Query, TooMuch, Which};

/// When to try again, and how much of a prefix is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rhythm {
    /// Longest wait before the first try after a failure. Default 100 ms; at least 1 ms.
    pub first_backoff: Duration,
    /// Longest wait between two tries. Default 5 s: a center that is back is heard soon, and a
    /// thousand instances ask two hundred times a second.
    pub max_backoff: Duration,
    /// Longest time for one read. Default 5 s.
    pub read_timeout: Duration,
    /// Most keys of a prefix. Default 10,000: far above any service's settings.
    pub max_items: usize,
    /// Most bytes of its keys and values. Default 4 MiB, as of a configuration file.
    pub max_bytes: usize,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            first_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            read_timeout: Duration::from_secs(5),
            max_items: 10_000,
            max_bytes: 4 << 20,
        }
    }
}

/// What a follower has heard.
#[derive(Debug)]
pub enum Heard {
    /// These changes, in order; none when the first answer, or one after an outage, has none.
    Changes(Vec<Change>),
    /// It cannot hear now; what is known stays.
    Away(String),
}

/// Follows keys until it is told to end.
///
/// After an outage it goes on from the last revision it has heard, so that no change is missed. If
/// that is compacted, or the center has another past than it had (it was wiped), it reads all and
/// tells the difference.
#[derive(Debug)]
#[must_use = "it hears nothing until `run`"]
pub struct Follower {
    center: Arc<dyn ConfigCenter>,
    which: Which,
    rhythm: Rhythm,
    known: Known,
}

/// How a connection ended.
enum Ended {
    Failed(String),
    /// It has worked before, so the next wait is short again.
    AfterNews(String),
}

impl Follower {
    /// Follows these keys.
    pub fn new(center: Arc<dyn ConfigCenter>, which: Which, rhythm: Rhythm) -> Self {
        Self { center, which, rhythm, known: Known::default() }
    }

    /// Begins with what was known before, so that only what has changed since is told.
    pub fn from_known(self, known: Known) -> Self {
        Self { known, ..self }
    }

    /// Follows until the drain, and tells `hear` of all it hears.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: following changes nothing.
    pub async fn run(mut self, drain: CancellationToken, mut hear: impl FnMut(&Known, Heard)) {
        let following = async {
            let mut failures = 0_u32;
            loop {
                let reason = match self.follow(&mut hear).await {
                    Ended::Failed(reason) => reason,
                    Ended::AfterNews(reason) => {
                        failures = 0;
                        reason
                    }
                };
                hear(&self.known, Heard::Away(reason));
                let wait = backoff(&self.rhythm, failures, rand::random());
                failures = failures.saturating_add(1);
                tokio::time::sleep(wait).await;
            }
        };
        // The drain ends it at any point.
        let _ended = drain.run_until_cancelled(following).await;
    }

    /// One connection: catches up, then hears what happens.
    async fn follow(&mut self, hear: &mut impl FnMut(&Known, Heard)) -> Ended {
        let mut stream = match self.catch_up(hear).await {
            Ok(stream) => stream,
            Err(reason) => return Ended::Failed(reason),
        };
        let mut has_heard = false;
        loop {
            let batch = match stream.next().await {
                Some(Ok(batch)) => batch,
                // The next connection reads all: the past it wants is not ours any more.
                Some(Err(error)) => {
                    if matches!(error, CenterError::Compacted { .. }) {
                        let Err(reason) = self.read_all(hear).await else {
                            return Ended::AfterNews("what has happened since is compacted".into());
                        };
                        return Ended::Failed(reason);
                    }
                    let reason = Chain(&error).to_string();
                    return if has_heard {
                        Ended::AfterNews(reason)
                    } else {
                        Ended::Failed(reason)
                    };
                }
                None => return Ended::AfterNews("the connection ended".to_owned()),
            };
            let mut after = self.known.clone();
            let changes = after.apply(batch);
            if let Err(error) = self.check(&after) {
                return Ended::Failed(error.to_string());
            }
            self.known = after;
            has_heard = true;
            if !changes.is_empty() {
                hear(&self.known, Heard::Changes(changes));
            }
        }
    }

    /// Goes on from the last revision if the center still has that, else reads all.
    async fn catch_up(
        &mut self,
        hear: &mut impl FnMut(&Known, Heard),
    ) -> Result<super::Follow, String> {
        let from = self.known.revision();
        let mut is_ours = false;
        if from > 0 {
            match self.read(Some(from)).await {
                Ok(past) => is_ours = self.known.is_past(&past),
                Err(CenterError::Compacted { .. } | CenterError::Future { .. }) => {}
                Err(error) => return Err(Chain(&error).to_string()),
            }
        }
        if is_ours {
            hear(&self.known, Heard::Changes(Vec::new()));
        } else {
            self.read_all(hear).await?;
        }
        let follow = self.center.follow(&self.which, self.known.revision() + 1);
        follow.await.map_err(|error| Chain(&error).to_string())
    }

    async fn read_all(&mut self, hear: &mut impl FnMut(&Known, Heard)) -> Result<(), String> {
        let snapshot = self.read(None).await.map_err(|error| Chain(&error).to_string())?;
        if snapshot.total > self.rhythm.max_items as u64 {
            return Err(self.too_much().to_string());
        }
        let mut after = self.known.clone();
        let changes = after.reset(&snapshot);
        self.check(&after).map_err(|error| error.to_string())?;
        self.known = after;
        hear(&self.known, Heard::Changes(changes));
        Ok(())
    }

    async fn read(&self, at: Option<u64>) -> Result<super::Snapshot, CenterError> {
        let (which, limit) = (self.which.clone(), Some(self.rhythm.max_items + 1));
        let query = Query { which, at, limit };
        let reading = self.center.list(&query);
        match tokio::time::timeout(self.rhythm.read_timeout, reading).await {
            Ok(read) => read,
            Err(elapsed) => Err(CenterError::unavailable("its address", elapsed)),
        }
    }

    fn check(&self, known: &Known) -> Result<(), TooMuch> {
        let fits =
            known.items().len() <= self.rhythm.max_items && known.bytes() <= self.rhythm.max_bytes;
        if fits { Ok(()) } else { Err(self.too_much()) }
    }

    fn too_much(&self) -> TooMuch {
        let (items, bytes) = (self.rhythm.max_items, self.rhythm.max_bytes);
        TooMuch { prefix: self.which.as_str().to_owned(), items, bytes }
    }
}

/// How long to wait: exponential with full jitter (AWS, "Exponential backoff and jitter", 2015),
/// never at once. `random` is in `[0, 1)`.
fn backoff(rhythm: &Rhythm, failures: u32, random: f64) -> Duration {
    let bound = rhythm.first_backoff.saturating_mul(2_u32.saturating_pow(failures));
    bound.min(rhythm.max_backoff).mul_f64(random.max(0.05))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_twice_as_long_with_each_failure_up_to_the_bound() {
        let rhythm = Rhythm::default();
        let waits: Vec<_> =
            [0, 1, 2, 5, 6, 99].map(|failures| backoff(&rhythm, failures, 1.0).as_millis()).into();
        assert_eq!(waits, [100, 200, 400, 3200, 5000, 5000]);
    }

    proptest! {
        #[test]
        fn never_tries_again_at_once(failures: u32, random in 0.0..1.0) {
            let wait = backoff(&Rhythm::default(), failures, random);
            prop_assert!(wait >= Duration::from_millis(5) && wait <= Duration::from_secs(5));
        }
    }
}
