//! The verifier in force, and its renewal when the issuer rotates keys.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use regatta_auth::{Verifier, VerifyingKey, key_set};
use regatta_core::Chain;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::schedule::Schedule;
use super::source::{self, SourceError};
use crate::{Auth, InvalidSettings, Keys};

/// How long a request with an unknown key waits for the set to be read again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The keys in force. Requests read it without a lock; one task renews it.
#[derive(Debug)]
pub(crate) struct KeyRing {
    auth: Auth,
    /// None until a key set was read for the first time, when there is no secret beside it.
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

impl KeyRing {
    /// Reads a file at once; a URL is read when the ring runs, so that the issuer may be away.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings::BadAuth`] when the secret is too short, a name empty or the file no key
    /// set.
    pub(crate) fn try_new(auth: &Auth) -> Result<Self, InvalidSettings> {
        let ring = Self {
            auth: auth.clone(),
            verifier: ArcSwapOption::empty(),
            progress: watch::Sender::new(Progress::default()),
            wanted: Notify::new(),
        };
        let bad = |error: &dyn std::error::Error| InvalidSettings::BadAuth {
            reason: Chain(error).to_string(),
        };
        let keys = match &auth.keys {
            Some(Keys::File(path)) => {
                let text = source::read_file(path).map_err(|error| bad(&error))?;
                parse(&path.display().to_string(), &text).map_err(|error| bad(&error))?
            }
            Some(Keys::Url(_)) | None => Vec::new(),
        };
        if auth.secret.is_some() || !keys.is_empty() {
            ring.verifier.store(Some(Arc::new(ring.build(keys)?)));
        } else if auth.keys.is_none() {
            let reason = "no key is set; set a secret or a key set".to_owned();
            return Err(InvalidSettings::BadAuth { reason });
        }
        Ok(ring)
    }

    /// The verifier of now; none while no key is known.
    pub(crate) fn verifier(&self) -> arc_swap::Guard<Option<Arc<Verifier>>> {
        self.verifier.load()
    }

    /// Whether keys may change while the gateway runs.
    pub(crate) fn is_renewable(&self) -> bool {
        self.auth.keys.is_some()
    }

    /// Whether this ring serves these settings too.
    pub(crate) fn serves(&self, auth: &Auth) -> bool {
        let secret = |auth: &Auth| auth.secret.as_ref().map(|secret| secret.expose().to_owned());
        secret(&self.auth) == secret(auth)
            && self.auth.keys == auth.keys
            && self.auth.issuer == auth.issuer
            && self.auth.audience == auth.audience
    }

    /// What is wrong with the key set now; nothing without one.
    pub(crate) fn problem(&self) -> Option<Arc<str>> {
        self.progress.borrow().problem.clone()
    }

    /// Waits for the key set to be read again, unless an unknown key has had that done a short while
    /// ago, or it takes too long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the reading goes on.
    pub(crate) async fn renewed(&self) {
        let Some(schedule) = self.schedule() else { return };
        let mut progress = self.progress.subscribe();
        let now = Instant::now();
        let (mut is_asked, mut is_reading, mut seen) = (false, false, 0);
        self.progress.send_if_modified(|progress| {
            let since = progress.asked.map_or(Duration::MAX, |asked| now.duration_since(asked));
            is_reading = progress.began > progress.ended;
            // A read that is under way is waited for, and costs nobody another one.
            is_asked = !is_reading && schedule.cooldown_left(since).is_zero();
            if is_asked {
                progress.asked = Some(now);
            }
            seen = progress.ended;
            false
        });
        if is_asked {
            self.wanted.notify_one();
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
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let (Some(schedule), Some(keys)) = (self.schedule(), self.auth.keys.clone()) else {
            return;
        };
        let mut text = None;
        loop {
            let began = Instant::now();
            self.progress.send_modify(|progress| progress.began += 1);
            let read = tokio::select! {
                () = stop.cancelled() => return,
                read = self.read(&keys, &mut text) => read,
            };
            let succeeded = read.is_ok();
            self.announce(&keys, read);
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(began + schedule.pause(succeeded)) => (),
                () = self.wanted.notified() => (),
            }
        }
    }

    async fn read(&self, keys: &Keys, before: &mut Option<String>) -> Result<(), SourceError> {
        let text = source::read(keys).await?;
        // The same text is the same keys; a new verifier would forget the tokens it has seen.
        if before.as_ref() == Some(&text) {
            return Ok(());
        }
        let parsed = parse(&keys.to_string(), &text)?;
        match self.build(parsed) {
            Ok(verifier) => {
                self.verifier.store(Some(Arc::new(verifier)));
                *before = Some(text);
                tracing::info!(keys = %keys, "keys of tokens read");
            }
            Err(error) => tracing::warn!(keys = %keys, error = %Chain(&error), "keys refused"),
        }
        Ok(())
    }

    fn announce(&self, keys: &Keys, read: Result<(), SourceError>) {
        let problem = read.err().map(|error| Chain(&error).to_string());
        self.progress.send_modify(|progress| {
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
        Some(match self.auth.keys.as_ref()? {
            Keys::File(_) => Schedule::FILE,
            Keys::Url(_) => Schedule::URL,
        })
    }

    fn build(&self, keys: Vec<VerifyingKey>) -> Result<Verifier, InvalidSettings> {
        let bad = |error: &dyn std::error::Error| InvalidSettings::BadAuth {
            reason: Chain(error).to_string(),
        };
        let mut builder = Verifier::builder();
        if let Some(secret) = &self.auth.secret {
            builder = builder.key(VerifyingKey::hs256(secret).map_err(|error| bad(&error))?);
        }
        builder = keys.into_iter().fold(builder, |builder, key| builder.key(key));
        if let Some(issuer) = &self.auth.issuer {
            builder = builder.issuer(issuer.as_str());
        }
        if let Some(audience) = &self.auth.audience {
            builder = builder.audience(audience.as_str());
        }
        builder.build().map_err(|error| bad(&error))
    }
}

fn parse(from: &str, text: &str) -> Result<Vec<VerifyingKey>, SourceError> {
    key_set(text).map_err(|source| SourceError::Unusable { from: from.to_owned(), source })
}
