//! The future of a call that asks for room, and the word it waits for.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use crate::concurrency::gate::Place;
use crate::concurrency::handle::Shared;
use crate::concurrency::{Permit, Rejected};

/// What who waits is told.
pub(super) enum Told {
    Go,
    Shed,
}

/// Who waits, as the gate knows it.
pub(super) struct Waiter(oneshot::Sender<Told>);

impl Waiter {
    pub(super) fn new() -> (Self, oneshot::Receiver<Told>) {
        let (tell, hear) = oneshot::channel();
        (Self(tell), hear)
    }

    /// False when it stopped waiting.
    pub(super) fn tell(self, told: Told) -> bool {
        self.0.send(told).is_ok()
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
        let left = self.shared.give_up(self.place);
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

impl Acquire {
    /// Has its answer.
    pub(super) fn ready(answer: Result<Permit, Rejected>) -> Self {
        Self { stage: Stage::Ready { answer: Some(answer) } }
    }

    /// Waits at this place.
    pub(super) fn waits(
        shared: Arc<Shared>,
        place: Place,
        told: oneshot::Receiver<Told>,
        limit: u32,
        at_most: Duration,
    ) -> Self {
        let waiting = Some(Waiting { shared, place, told });
        Self { stage: Stage::Waits { waiting, sleep: sleep(at_most), limit, at_most } }
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
                        (Ok(Told::Go), Some(shared)) => Ok(shared.permit()),
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
