//! The loop that acts on the plan.

use std::pin::pin;
use std::sync::Arc;

use rand::Rng;
use regatta_core::Chain;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::plan::{Outcome, Plan, Step};
use super::{InvalidSettings, RegistrarSettings};
use crate::{Register, RegisterError, Registration};

/// Keeps one registration true until drain, then removes it.
#[derive(Debug)]
pub struct Registrar {
    registry: Arc<dyn Register>,
    registration: Registration,
    settings: RegistrarSettings,
    standing: watch::Sender<Standing>,
}

/// Tells how registration stands; cheap to clone.
#[derive(Clone, Debug)]
pub struct RegistrarHandle {
    standing: watch::Receiver<Standing>,
}

/// How registration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not registered yet.
    Pending,
    /// The registry held the registration when it was last asked.
    Registered,
    /// The latest call failed; callers may still find this instance by what they knew.
    Failing {
        /// The error and its causes.
        error: String,
    },
    /// Drained: deregistered, or given up after the time for it.
    Gone,
}

impl Registrar {
    /// Keeps this registration in this registry. Unless it says so itself, its life (incarnation)
    /// is the time of this call: a restarted process is another to its callers from the moment
    /// that it registers. With [`Probe::Ttl`](crate::Probe::Ttl) it says that it lives at each
    /// verification, at least three times before its silence would be noticed.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_new(
        registry: Arc<dyn Register>,
        mut registration: Registration,
        mut settings: RegistrarSettings,
    ) -> Result<Self, InvalidSettings> {
        if let Some(silence) = registration.silence() {
            let often = silence / 3;
            settings.verify_every = settings.verify_every.min(often);
            settings.first_backoff = settings.first_backoff.min(often);
            settings.max_backoff = settings.max_backoff.min(often);
        }
        settings.validate()?;
        if registration.instance.incarnation == 0 {
            registration.instance.incarnation = unix_millis();
        }
        let standing = watch::Sender::new(Standing::Pending);
        Ok(Self { registry, registration, settings, standing })
    }

    /// A handle on how registration stands.
    pub fn handle(&self) -> RegistrarHandle {
        RegistrarHandle { standing: self.standing.subscribe() }
    }

    /// Registers, verifies and registers again until `drain`, then deregisters within its bound and
    /// returns. Errors are logged and retried, never returned: a service works without a registry.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped, it leaves the registration to the registry's check.
    pub async fn run(self, drain: CancellationToken) {
        let mut plan = Plan::new(self.settings.clone());
        loop {
            let mut turn = pin!(self.turn(plan.step()));
            let result = tokio::select! {
                () = drain.cancelled() => {
                    // Not dropped: a registration cut short could reach the registry after the
                    // deregistration and stay behind as a ghost.
                    return self.leave(async { drop(turn.await) }).await;
                }
                result = turn.as_mut() => result,
            };
            let outcome = self.note(result);
            let wait = plan.record(outcome, rand::rng().random());
            tokio::select! {
                () = drain.cancelled() => return self.leave(std::future::ready(())).await,
                () = tokio::time::sleep(wait) => (),
            }
        }
    }

    async fn turn(&self, step: Step) -> Result<Outcome, RegisterError> {
        let call = async {
            match step {
                Step::Register => {
                    self.registry.register(&self.registration).await?;
                    match self.heartbeat().await? {
                        true => Ok(Outcome::Present),
                        // Not at once again, for ever: it was registered a moment ago.
                        false => Err(self.forgotten()),
                    }
                }
                Step::Verify => {
                    let present = self.registry.is_registered(&self.registration).await?;
                    let present = present && self.heartbeat().await?;
                    Ok(if present { Outcome::Present } else { Outcome::Absent })
                }
            }
        };
        let timeout = self.settings.call_timeout;
        tokio::time::timeout(timeout, call).await.unwrap_or_else(|elapsed| {
            Err(RegisterError::Unreachable {
                registry: self.registry.address().to_owned(),
                source: elapsed.into(),
            })
        })
    }

    /// Says that the instance lives, where the registry waits for that; whether it is known there.
    async fn heartbeat(&self) -> Result<bool, RegisterError> {
        match self.registration.silence() {
            Some(_) => self.registry.heartbeat(&self.registration.instance.id).await,
            None => Ok(true),
        }
    }

    fn forgotten(&self) -> RegisterError {
        let registry = self.registry.address().to_owned();
        let message = "it does not know the check that it was just told".to_owned();
        RegisterError::Failed { registry, status: 404, message }
    }

    /// Logs a turn if something changed by it, and makes it visible.
    fn note(&self, turn: Result<Outcome, RegisterError>) -> Outcome {
        let id = &self.registration.instance.id;
        let (outcome, standing) = match turn {
            Ok(Outcome::Absent) => {
                tracing::warn!(instance = %id, "the registry has lost this instance; registering");
                return Outcome::Absent;
            }
            Ok(outcome) => (outcome, Standing::Registered),
            Err(error) => (Outcome::Failed, Standing::Failing { error: Chain(&error).to_string() }),
        };
        let changed = self.standing.send_if_modified(|old| {
            let changed = *old != standing;
            old.clone_from(&standing);
            changed
        });
        match standing {
            Standing::Registered if changed => tracing::info!(instance = %id, "registered"),
            Standing::Failing { error } if changed => {
                tracing::warn!(instance = %id, error, "cannot register; trying again");
            }
            _ => (),
        }
        outcome
    }

    /// Deregisters once what is still in flight has ended, both within the bound.
    async fn leave(&self, in_flight: impl Future<Output = ()>) {
        let id = &self.registration.instance.id;
        // Also when never known to be registered: a call that timed out may have succeeded.
        let call = async {
            in_flight.await;
            self.registry.deregister(id).await
        };
        match tokio::time::timeout(self.settings.deregister_within, call).await {
            Ok(Ok(())) => tracing::info!(instance = %id, "deregistered"),
            Ok(Err(error)) => {
                let error = Chain(&error).to_string();
                tracing::warn!(instance = %id, error, "cannot deregister; its check will");
            }
            Err(_elapsed) => {
                tracing::warn!(instance = %id, "no time to deregister; its check will");
            }
        }
        self.standing.send_replace(Standing::Gone);
    }
}

/// The wall clock: a life must differ from those before the process was started.
#[expect(clippy::disallowed_methods, reason = "no rule goes by it; it only has to differ")]
fn unix_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_millis() as u64)
}

impl RegistrarHandle {
    /// How registration stands now.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Waits until the standing passes this test.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: waiting changes nothing.
    pub async fn wait_for(&mut self, test: impl FnMut(&Standing) -> bool) -> Standing {
        // Copied out at once: a held reference would make this future stay on its thread.
        let standing = self.standing.wait_for(test).await.map(|standing| standing.clone());
        match standing {
            Ok(standing) => standing,
            // The registrar was dropped: nothing will change any more.
            Err(_) => std::future::pending().await,
        }
    }
}
