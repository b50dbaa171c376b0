//! Polls a future only when it asked for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// Polls a future only when it asked for it, while its task wakes up for something else.
///
/// A connection wakes up for each request; its timers and tokens fire once in seconds, and looking
/// at each of them every time costs as much as routing the request.
pub(super) struct Rarely {
    bell: Arc<Bell>,
    waker: Waker,
}

/// The waker that the future gets: it notes who rang before it wakes the task.
struct Bell {
    has_rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Released here and acquired below, so that what the ringer wrote is seen by the poll.
        self.has_rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Rarely {
    pub(super) fn new() -> Self {
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { waker: Waker::from(bell.clone()), bell }
    }

    /// Begins with a new future, which is polled the next time whatever happens.
    pub(super) fn renew(&self) {
        self.bell.has_rung.store(true, Ordering::Release);
    }

    pub(super) fn poll<F: Future>(
        &self,
        future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        // Registered before the look, or a bell that rings in between would wake nobody.
        self.bell.task.register(cx.waker());
        if !self.bell.has_rung.load(Ordering::Relaxed)
            || !self.bell.has_rung.swap(false, Ordering::Acquire)
        {
            return Poll::Pending;
        }
        future.poll(&mut Context::from_waker(&self.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::pin::pin;

    use super::*;

    #[test]
    fn a_future_is_polled_first_and_then_only_when_it_rang() {
        let (polls, waker) = (Cell::new(0), Cell::new(None));
        let mut future = pin!(poll_fn(|cx| {
            polls.set(polls.get() + 1);
            waker.set(Some(cx.waker().clone()));
            Poll::<()>::Pending
        }));
        let (rarely, mut cx) = (Rarely::new(), Context::from_waker(Waker::noop()));
        for _ in 0..3 {
            assert!(rarely.poll(future.as_mut(), &mut cx).is_pending());
        }
        assert_eq!(polls.get(), 1);
        waker.take().expect("it was polled").wake();
        for _ in 0..3 {
            assert!(rarely.poll(future.as_mut(), &mut cx).is_pending());
        }
        assert_eq!(polls.get(), 2);
        rarely.renew();
        assert!(rarely.poll(future.as_mut(), &mut cx).is_pending());
        assert_eq!(polls.get(), 3);
    }

    #[tokio::test]
    async fn a_bell_wakes_the_task() {
        let (told, heard) = tokio::sync::oneshot::channel();
        let rarely = Rarely::new();
        let mut heard = pin!(heard);
        let waiting = poll_fn(|cx| rarely.poll(heard.as_mut(), cx));
        let (got, ()) = tokio::join!(waiting, async {
            tokio::task::yield_now().await;
            told.send(7).unwrap();
        });
        assert_eq!(got, Ok(7));
    }
}
