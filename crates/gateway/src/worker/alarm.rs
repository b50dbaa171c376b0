//! One timer per connection that costs nothing while deadlines move forward.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is set again only when it fires too early or a deadline moves closer.
///
/// A request moves its deadline several times and hardly ever reaches one; setting the runtime's
/// timer each time would cost more than parsing the request.
#[derive(Debug)]
pub(crate) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    armed: Instant,
}

/// The deadline passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedOut;

impl Alarm {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(deadline)), armed: deadline }
    }

    /// Runs the future until the deadline.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as the future.
    pub(crate) async fn within<F: Future>(
        &mut self,
        deadline: Instant,
        future: F,
    ) -> Result<F::Output, TimedOut> {
        let mut future = std::pin::pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.poll(deadline, cx).map(|()| Err(TimedOut))
        })
        .await
    }

    /// Runs the future for as long as `most` after it first had to wait: what is done at once does not
    /// even read the clock.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as the future.
    pub(crate) async fn for_at_most<F: Future>(
        &mut self,
        most: Duration,
        future: F,
    ) -> Result<F::Output, TimedOut> {
        let mut future = std::pin::pin!(future);
        let mut deadline = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + most);
            self.poll(deadline, cx).map(|()| Err(TimedOut))
        })
        .await
    }

    /// Ready at the deadline; wakes the task by then.
    pub(crate) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if deadline < self.armed {
            self.arm(deadline);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if self.armed >= deadline {
                return Poll::Ready(());
            }
            self.arm(deadline);
        }
        Poll::Pending
    }

    fn arm(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.armed = deadline;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn fires_at_the_deadline_in_force_and_not_at_an_earlier_one() {
        let start = Instant::now();
        let mut alarm = Alarm::new(start + Duration::from_secs(1));
        for seconds in [5, 7, 30] {
            let deadline = start + Duration::from_secs(seconds);
            assert_eq!(alarm.within(deadline, pending::<()>()).await, Err(TimedOut));
            assert_eq!(Instant::now(), deadline);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_of_a_length_ends_after_it_however_often_it_is_polled() {
        let start = Instant::now();
        let mut alarm = Alarm::new(start + Duration::from_secs(60));
        let polled_often = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let waited = alarm.for_at_most(Duration::from_secs(2), polled_often).await;
        assert_eq!((waited, start.elapsed()), (Err(TimedOut), Duration::from_secs(2)));
        assert_eq!(alarm.for_at_most(Duration::ZERO, ready(1)).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_closer_is_kept() {
        let start = Instant::now();
        let mut alarm = Alarm::new(start + Duration::from_secs(60));
        let deadline = start + Duration::from_secs(2);
        assert_eq!(alarm.within(deadline, pending::<()>()).await, Err(TimedOut));
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        assert_eq!(alarm.within(deadline, ready(1)).await, Ok(1));
    }
}
