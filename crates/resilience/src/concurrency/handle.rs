//! The limit that callers share, and the future of a call that waits for it.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use crate::concurrency::gate::{Arrival, Gate, Place};
use crate::concurrency::gradient::Gradient;
use crate::concurrency::{InvalidSettings, Priority, Rejected, Settings};
use crate::now;

/// Bounds the calls in flight. Cheap to clone; all clones are one limit.
#[derive(Clone)]
pub struct Limit {
    shared: Arc<Shared>,
}

struct Shared {
    guarded: Mutex<Guarded>,
}

struct Guarded {
    settings: Settings,
    gate: Gate<oneshot::Sender<Told>>,
    gradient: Option<Gradient>,
}

/// What who waits is told.
enum Told {
    Go,
    Shed,
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
            let (tell, hear) = oneshot::channel();
            told = Some(hear);
            tell
        });
        let at_most = guarded.settings.queue_timeout.min(at_most);
        drop(guarded);
        let stage = match (arrival, told) {
            (Arrival::Admitted, _) => Stage::Ready { answer: Some(Ok(self.permit())) },
            (Arrival::Waits { place, evicted }, Some(told)) => {
                if let Some(evicted) = evicted {
                    // Who stopped waiting just now has no use for it.
                    let _ = evicted.send(Told::Shed);
                }
                let waiting = Waiting { shared: Arc::clone(&self.shared), place, told };
                Stage::Waits { waiting: Some(waiting), sleep: sleep(at_most), limit, at_most }
            }
            (Arrival::Waits { .. } | Arrival::TurnedAway, _) => {
                Stage::Ready { answer: Some(Err(Rejected::Full { limit })) }
            }
        };
        Acquire { stage }
    }

    /// Asks for room now; nobody waits.
    ///
    /// # Errors
    ///
    /// [`Rejected::Full`] when there is none.
    pub fn try_acquire(&self, priority: Priority) -> Result<Permit, Rejected> {
        match self.acquire(priority, Duration::ZERO).stage {
            Stage::Ready { answer: Some(answer) } => answer,
            // Dropping it gives the place back.
            Stage::Ready { answer: None } | Stage::Waits { .. } => {
                Err(Rejected::Full { limit: self.limit() })
            }
        }
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

    fn permit(&self) -> Permit {
        Permit { shared: Arc::clone(&self.shared), began: now() }
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

    fn leave(&self) {
        let mut guarded = self.lock();
        guarded.gate.leave();
        guarded.admit();
    }
}

impl Guarded {
    /// Tells all who have room now.
    fn admit(&mut self) {
        while let Some(waiter) = self.gate.next() {
            if waiter.send(Told::Go).is_err() {
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

/// A place in the queue; dropped, it is given back.
struct Waiting {
    shared: Arc<Shared>,
    place: Place,
    told: oneshot::Receiver<Told>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let left = self.shared.lock().gate.give_up(self.place).is_some();
        // Told to go, but nobody went.
        if !left && matches!(self.told.try_recv(), Ok(Told::Go)) {
            self.shared.leave();
        }
    }
}

pin_project! {
    /// Waits for room; answers a [`Permit`] or why there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, it gives its place, or the room it was just given, back.
    #[must_use = "futures do nothing unless polled"]
    pub struct Acquire {
        #[pin]
        stage: Stage,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage {
        Ready { answer: Option<Result<Permit, Rejected>> },
        Waits { waiting: Option<Waiting>, #[pin] sleep: Sleep, limit: u32, at_most: Duration },
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Rejected>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const TWICE: &str = "a future is not polled after it completed";
        match self.project().stage.project() {
            StageProjection::Ready { answer } => Poll::Ready(answer.take().expect(TWICE)),
            StageProjection::Waits { waiting, sleep, limit, at_most } => {
                let told = &mut waiting.as_mut().expect(TWICE).told;
                if let Poll::Ready(told) = Pin::new(told).poll(cx) {
                    let shared = waiting.take().map(|waiting| Arc::clone(&waiting.shared));
                    return Poll::Ready(match (told, shared) {
                        (Ok(Told::Go), Some(shared)) => Ok(Permit { shared, began: now() }),
                        // The other half is dropped only when it has spoken.
                        (Ok(_) | Err(_), _) => Err(Rejected::Shed { limit: *limit }),
                    });
                }
                if sleep.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                // Dropping it gives the place back, or the room it is given this moment.
                *waiting = None;
                Poll::Ready(Err(Rejected::TimedOut { limit: *limit, waited: *at_most }))
            }
        }
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").finish_non_exhaustive()
    }
}
