//! The breaker that callers share, and their right to make a call.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use crate::breaker::{Admission, BreakerOpen, Change, Circuit, InvalidSettings, Outcome, Settings};

/// Told of each change of state exactly once, in order.
///
/// It runs on the thread that caused the change, outside the breaker's lock, and may use the
/// breaker. It must be quick: a call waits for it.
pub type Observer = Arc<dyn Fn(Change) + Send + Sync>;

/// Stops calling a dependency that keeps failing, and tries it again later. Cheap to clone; all
/// clones are one [`Circuit`].
///
/// ```
/// use regatta_resilience::breaker::{Breaker, Outcome, Settings, State};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[expect(clippy::disallowed_methods, reason = "an example outside a runtime")]
/// let now = std::time::Instant::now();
/// let breaker = Breaker::try_new(Settings::default().with_failure_threshold(1))?;
/// breaker.admit(now)?.record(now, Outcome::Failure);
/// assert_eq!(breaker.state(now), State::Open);
/// assert!(breaker.admit(now).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Breaker {
    circuit: Arc<Circuit>,
}

impl Breaker {
    /// A closed breaker.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_new(settings: Settings) -> Result<Self, InvalidSettings> {
        Circuit::try_new(settings).map(Self::from)
    }

    /// A closed breaker that tells the observer of each change.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_observed(settings: Settings, observer: Observer) -> Result<Self, InvalidSettings> {
        Circuit::try_observed(settings, observer).map(Self::from)
    }

    /// Asks to make a call.
    ///
    /// # Errors
    ///
    /// [`BreakerOpen`] when the call must not be made; it says when to ask again.
    #[inline]
    pub fn admit(&self, now: Instant) -> Result<Permit, BreakerOpen> {
        self.circuit.enter(now).map(|admission| self.permit(admission))
    }

    /// Asks to make a call whether or not the breaker is open; see [`Circuit::enter_despite`].
    ///
    /// # Errors
    ///
    /// [`BreakerOpen`] when an operator has forced it open.
    pub fn admit_despite(&self, now: Instant) -> Result<Permit, BreakerOpen> {
        self.circuit.enter_despite(now).map(|admission| self.permit(admission))
    }

    #[inline]
    fn permit(&self, admission: Admission) -> Permit {
        Permit { circuit: Arc::clone(&self.circuit), admission: Some(admission) }
    }
}

impl From<Circuit> for Breaker {
    fn from(circuit: Circuit) -> Self {
        Self { circuit: Arc::new(circuit) }
    }
}

impl Deref for Breaker {
    type Target = Circuit;

    fn deref(&self) -> &Circuit {
        &self.circuit
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("circuit", &self.circuit).finish()
    }
}

/// The right to make one call. Dropped without [`Permit::record`] it counts as abandoned.
#[must_use = "a permit that is dropped counts as an abandoned call"]
pub struct Permit {
    circuit: Arc<Circuit>,
    /// None once it was recorded.
    admission: Option<Admission>,
}

impl Permit {
    /// Whether the breaker was open when it gave this, in spite of that. Then it learns from a
    /// success only.
    pub fn is_despite(&self) -> bool {
        self.admission.as_ref().is_some_and(Admission::is_despite)
    }

    /// Reports that a good answer has begun, whose rest is still to come: a success from now on,
    /// unless [`Permit::record`] says later that it was a failure after all. Only the first report
    /// counts.
    pub fn begin(&mut self, now: Instant) {
        if let Some(admission) = &mut self.admission {
            self.circuit.begin(admission, now);
        }
    }

    /// Reports how the call ended; `now` is when it did. It took what has passed since it was
    /// admitted.
    #[inline]
    pub fn record(mut self, now: Instant, outcome: Outcome) {
        if let Some(admission) = self.admission.take() {
            self.circuit.record(admission, now, outcome);
        }
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.circuit.abandon(admission);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("admission", &self.admission).finish_non_exhaustive()
    }
}
