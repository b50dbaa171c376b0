//! The verifier in force, and its renewal when the issuer rotates keys.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use regatta_core::{Chain, Secret};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::schedule::Schedule;
use super::source::{self, KeysError, parse};
use super::{InvalidTrust, Keys, Trust};
use crate::{Verifier, VerifyingKey};

/// How long a request with an unknown key waits for the set to be read again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The keys in force. Requests read it without a lock; [`KeyRing::run`] renews it. A cheap handle.
#[derive(Clone, Debug)]
pub struct KeyRing(Arc<Ring>);

#[derive(Debug)]
struct Ring {
    trust: Trust,
    /// None until a key set was read for the first time, when there is no other key beside it.
    verifier: ArcSwapOption<Verifier>,
    progress: watch::Sender<Progress>,
    wanted: Notify,
}

/// How the reads of the key set go.
#[derive(Clone, Debug, Default)]
struct Progress {
    began: u64,
    ended: u64,
    /// When an unknown key last asked for a read.
    asked: Option<Instant>,
    /// What kept the last read from succeeding.
    problem: Option<Arc<str>>,
}

/// A ring of keys that never change.
impl From<Verifier> for KeyRing {
    fn from(verifier: Verifier) -> Self {
        Self::of(Trust::default(), Some(verifier))
    }
}

impl KeyRing {
    /// Reads a file at once; a URL is read when the ring runs, so that the issuer may be away.
    ///
    /// # Errors
    ///
    /// [`InvalidTrust`] when the secret is too short, a name empty or the file no key set.
    pub fn try_new(trust: Trust) -> Result<Self, InvalidTrust> {
        let published = match &trust.published {
            Some(keys @ Keys::File(path)) => {
                let text = source::read_file(path).map_err(InvalidTrust::Keys)?;
                Some(parse(keys, &text).map_err(InvalidTrust::Keys)?)
            }
            Some(Keys::Url(_)) => None,
            None if !trust.has_own_key() => return Err(InvalidTrust::NoKey),
            None => None,
        };
        let is_known = trust.has_own_key() || published.is_some();
        if !is_known {
            // Wrong names are told at the start; the key only stands in, the verifier is dropped.
            let stand_in = VerifyingKey::hs256(&Secret::new("x".repeat(32)));
            _ = trust.verifier(vec![stand_in.map_err(InvalidTrust::Secret)?])?;
            return Ok(Self::of(trust, None));
        }
        let verifier = trust.verifier(published.unwrap_or_default())?;
        Ok(Self::of(trust, Some(verifier)))
    }

    fn of(trust: Trust, verifier: Option<Verifier>) -> Self {
        Self(Arc::new(Ring {
            trust,
            verifier: ArcSwapOption::from(verifier.map(Arc::new)),
            progress: watch::Sender::new(Progress::default()),
            wanted: Notify::new(),
        }))
    }

    /// The verifier of now; none while no key is known.
    pub fn verifier(&self) -> Guard<Option<Arc<Verifier>>> {
        self.0.verifier.load()
    }

    /// Whether keys may change while the program runs.
    pub fn is_renewable(&self) -> bool {
        self.0.trust.published.is_some()
    }

    /// Whether both are handles of one ring.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What is wrong with the key set now; nothing without one.
    pub fn problem(&self) -> Option<Arc<str>> {
        self.0.progress.borrow().problem.clone()
    }

    /// Waits for the key set to be read again, unless an unknown key has had that done a short while
    /// ago, or it takes too long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the reading goes on.
    pub async fn renewed(&self) {
        let Some(schedule) = self.schedule() else { return };
        let mut progress = self.0.progress.subscribe();
        let now = Instant::now();
        let (mut is_asked, mut is_reading, mut seen) = (false, false, 0);
        self.0.progress.send_if_modified(|progress| {
            let since = progress.asked.map_or(Duration::MAX, |asked| now.duration_since(asked));
            // The first read is under way as soon as the ring runs.
            is_reading = progress.began > progress.ended || progress.began == 0;
            // A read that is under way is waited for, and costs nobody another one.
            is_asked = !is_reading && schedule.cooldown_left(since).is_zero();
            if is_asked {
                progress.asked = Some(now);
            }
            seen = progress.ended;
            false
        });
        if is_asked {
            self.0.wanted.notify_one();
        } else if !is_reading {
            return;
        }
        let done = progress.wait_for(|now| now.ended > seen);
        // Too late: the caller looks at the keys there are.
        _ = tokio::time::timeout(PATIENCE, done).await;
    }

    /// Reads the key set on its schedule and whenever an unknown key asks for it, until the stop.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the keys of the last read stay.
    pub async fn run(self, stop: CancellationToken) {
        let (Some(schedule), Some(keys)) = (self.schedule(), self.0.trust.published.clone()) else {
            return;
        };
        let mut text = None;
        loop {
            let began = Instant::now();
            self.0.progress.send_modify(|progress| progress.began += 1);
            let read = tokio::select! {
                () = stop.cancelled() => return,
                read = self.read(&keys, &mut text) => read,
            };
            let succeeded = read.is_ok();
            self.announce(&keys, read);
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(began + schedule.pause(succeeded)) => (),
                () = self.0.wanted.notified() => (),
            }
        }
    }

    async fn read(&self, keys: &Keys, before: &mut Option<String>) -> Result<(), KeysError> {
        let text = source::read(keys).await?;
        // The same text is the same keys; a new verifier would forget the tokens it has seen.
        if before.as_ref() == Some(&text) {
            return Ok(());
        }
        let parsed = parse(keys, &text)?;
        match self.0.trust.verifier(parsed) {
            Ok(verifier) => {
                self.0.verifier.store(Some(Arc::new(verifier)));
                *before = Some(text);
                tracing::info!(keys = %keys, "keys of tokens read");
            }
            Err(error) => tracing::warn!(keys = %keys, error = %Chain(&error), "keys refused"),
        }
        Ok(())
    }

    fn announce(&self, keys: &Keys, read: Result<(), KeysError>) {
        let problem = read.err().map(|error| Chain(&error).to_string());
        self.0.progress.send_modify(|progress| {
            progress.ended += 1;
            match (&progress.problem, &problem) {
                (before, Some(now)) if before.as_deref() != Some(now.as_str()) => {
                    tracing::warn!(keys = %keys, error = now, "keys could not be read; the last known ones stay");
                }
                (Some(_), None) => tracing::info!(keys = %keys, "keys can be read again"),
                _ => (),
            }
            progress.problem = problem.map(Into::into);
        });
    }

    fn schedule(&self) -> Option<Schedule> {
        Some(match self.0.trust.published.as_ref()? {
            Keys::File(_) => Schedule::FILE,
            Keys::Url(_) => Schedule::URL,
        })
    }
}
