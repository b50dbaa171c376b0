//! The limit that callers share.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::concurrency::future::{Told, Waiter};
use crate::concurrency::gate::{Arrival, Gate, Place};
use crate::concurrency::gradient::Gradient;
use crate::concurrency::{Acquire, InvalidSettings, Priority, Rejected, Settings};
use crate::now;

/// Bounds the calls in flight. Cheap to clone; all clones are one limit.
#[derive(Clone)]
pub struct Limit {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    guarded: Mutex<Guarded>,
}

struct Guarded {
    settings: Settings,
    gate: Gate<Waiter>,
    gradient: Option<Gradient>,
}

/// How a call ended, as far as an adaptive limit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It took the time that such calls take.
    Done,
    /// The target could not take it: a timeout, a 503, a full queue.
    Overloaded,
    /// It says nothing about the target, such as a connection refused at once.
    Ignored,
}

impl Limit {
    /// A limit with nothing in flight.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_new(settings: Settings) -> Result<Self, InvalidSettings> {
        settings.validate()?;
        let gradient = gradient(&settings);
        let mut gate = Gate::new(&settings);
        if let Some(gradient) = &gradient {
            gate.set_limit(gradient.limit());
        }
        let guarded = Mutex::new(Guarded { settings, gate, gradient });
        Ok(Self { shared: Arc::new(Shared { guarded }) })
    }

    /// Asks for room, and waits for it up to the settings' `queue_timeout` and `at_most`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: who stops waiting gives its place, or the room it was just given, back.
    pub fn acquire(&self, priority: Priority, at_most: Duration) -> Acquire {
        let mut guarded = self.shared.lock();
        let limit = guarded.gate.limit();
        let mut told = None;
        let arrival = guarded.gate.arrive(priority, || {
            let (waiter, hears) = Waiter::new();
            told = Some(hears);
            waiter
        });
        let at_most = guarded.settings.queue_timeout.min(at_most);
        drop(guarded);
        match (arrival, told) {
            (Arrival::Admitted, _) => Acquire::ready(Ok(self.shared.permit())),
            (Arrival::Waits { place, evicted }, Some(told)) => {
                if let Some(evicted) = evicted {
                    // Who stopped waiting just now has no use for it.
                    let _gone = evicted.tell(Told::Shed);
                }
                Acquire::waits(Arc::clone(&self.shared), place, told, limit, at_most)
            }
            (Arrival::Waits { .. } | Arrival::TurnedAway, _) => {
                Acquire::ready(Err(Rejected::Full { limit }))
            }
        }
    }

    /// Asks for room now; nobody waits.
    ///
    /// # Errors
    ///
    /// [`Rejected::Full`] when there is none.
    pub fn try_acquire(&self, priority: Priority) -> Result<Permit, Rejected> {
        self.try_acquire_at(priority, now())
    }

    /// The same for a caller that has read the clock already.
    ///
    /// # Errors
    ///
    /// As [`Limit::try_acquire`].
    pub fn try_acquire_at(&self, priority: Priority, now: Instant) -> Result<Permit, Rejected> {
        let mut guarded = self.shared.lock();
        if guarded.gate.try_arrive(priority) {
            drop(guarded);
            return Ok(Permit { shared: Arc::clone(&self.shared), began: now });
        }
        Err(Rejected::Full { limit: guarded.gate.limit() })
    }

    /// Goes on with other settings. Calls in flight and who waits stay, also those over the new
    /// bounds; an adaptive limit whose bounds change begins anew.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range; then nothing has changed.
    pub fn reconfigure(&self, settings: Settings) -> Result<(), InvalidSettings> {
        settings.validate()?;
        let mut guarded = self.shared.lock();
        let before = &guarded.settings;
        if (before.limit, &before.adaptive) != (settings.limit, &settings.adaptive) {
            guarded.gradient = gradient(&settings);
            let limit = guarded.gradient.as_ref().map_or(settings.limit, Gradient::limit);
            guarded.gate.set_limit(limit);
        }
        guarded.gate.set_queue(&settings);
        guarded.settings = settings;
        guarded.admit();
        Ok(())
    }

    /// Calls at a time, now.
    pub fn limit(&self) -> u32 {
        self.shared.lock().gate.limit()
    }

    /// Calls in flight.
    pub fn in_flight(&self) -> u32 {
        self.shared.lock().gate.in_flight()
    }

    /// Calls that wait.
    pub fn queued(&self) -> usize {
        self.shared.lock().gate.waiting()
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guarded = self.shared.lock();
        f.debug_struct("Limit")
            .field("limit", &guarded.gate.limit())
            .field("in_flight", &guarded.gate.in_flight())
            .field("queued", &guarded.gate.waiting())
            .finish_non_exhaustive()
    }
}

fn gradient(settings: &Settings) -> Option<Gradient> {
    settings.adaptive.clone().map(|adaptive| Gradient::new(adaptive, settings.limit))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Guarded> {
        // The counts are whole after each rule.
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to a call that the gate counts already.
    pub(super) fn permit(self: &Arc<Self>) -> Permit {
        Permit { shared: Arc::clone(self), began: now() }
    }

    /// A call has ended.
    pub(super) fn leave(&self) {
        let mut guarded = self.lock();
        guarded.gate.leave();
        guarded.admit();
    }

    /// Who waits at this place stops waiting; false when it was told something already.
    pub(super) fn give_up(&self, place: Place) -> bool {
        self.lock().gate.give_up(place).is_some()
    }
}

impl Guarded {
    /// Tells all who have room now.
    fn admit(&mut self) {
        while let Some(waiter) = self.gate.next() {
            if !waiter.tell(Told::Go) {
                // It stopped waiting this moment.
                self.gate.leave();
            }
        }
    }
}

/// The right to one call in flight. Dropped, it makes room for the next.
#[must_use = "a permit that is dropped makes room for the next call"]
pub struct Permit {
    shared: Arc<Shared>,
    began: Instant,
}

impl Permit {
    /// Ends the call at `now` and tells an adaptive limit how it went. A permit that is dropped
    /// tells it nothing.
    pub fn finish(self, now: Instant, ending: Ending) {
        let mut guarded = self.shared.lock();
        let guarded = &mut *guarded;
        if let Some(gradient) = &mut guarded.gradient
            && ending != Ending::Ignored
        {
            let took = now.saturating_duration_since(self.began);
            let overloaded = ending == Ending::Overloaded;
            if gradient.sample(now, took, guarded.gate.in_flight(), overloaded) {
                guarded.gate.set_limit(gradient.limit());
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.leave();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
