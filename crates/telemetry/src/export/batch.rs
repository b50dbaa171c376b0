//! A bounded queue whose items leave in batches.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, Counter};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// The end of the queue that never waits.
#[derive(Clone, Debug)]
pub(crate) struct Queue<T> {
    sender: mpsc::Sender<T>,
    dropped: BoundCounter<u64>,
}

impl<T> Queue<T> {
    /// A queue of this many items; `processed` counts those that find it full.
    pub(crate) fn new(size: usize, processed: &Counter<u64>) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(size);
        let dropped = processed.bind(&[KeyValue::new("error.type", "queue_full")]);
        (Self { sender, dropped }, receiver)
    }

    /// Takes the item, or drops and counts it when the queue is full or closed.
    pub(crate) fn push(&self, item: T) {
        if self.sender.try_send(item).is_err() {
            self.dropped.add(1);
        }
    }
}

/// Takes the next batch: as many as fit, or as many as came within `interval` of the first.
///
/// None once the queue is closed and empty. After `drain` the queue is closed and what is in it
/// comes out without waiting.
pub(crate) async fn next<T>(
    receiver: &mut mpsc::Receiver<T>,
    most: usize,
    interval: Duration,
    drain: &CancellationToken,
) -> Option<Vec<T>> {
    let first = tokio::select! {
        biased;
        () = drain.cancelled() => {
            receiver.close();
            receiver.recv().await?
        }
        item = receiver.recv() => item?,
    };
    let mut batch = Vec::with_capacity(most.min(64));
    batch.push(first);
    let full_by = Instant::now() + interval;
    while batch.len() < most {
        let room = most - batch.len();
        let more = receiver.recv_many(&mut batch, room);
        tokio::select! {
            biased;
            taken = timeout_at(full_by, more) => if !matches!(taken, Ok(1..)) { break },
            () = drain.cancelled() => {
                receiver.close();
                while batch.len() < most && let Ok(item) = receiver.try_recv() {
                    batch.push(item);
                }
                break;
            }
        }
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::SdkMeterProvider;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn queue(size: usize) -> (Queue<u32>, mpsc::Receiver<u32>) {
        let meter = SdkMeterProvider::builder().build().meter("test");
        Queue::new(size, &meter.u64_counter("processed").build())
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_leaves_at_once() {
        let (queue, mut receiver) = queue(8);
        (0..5).for_each(|item| queue.push(item));
        let started = Instant::now();
        let drain = CancellationToken::new();
        assert_eq!(next(&mut receiver, 3, SECOND, &drain).await, Some(vec![0, 1, 2]));
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_does_not_fill_leaves_after_the_interval() {
        let (queue, mut receiver) = queue(8);
        queue.push(7);
        let started = Instant::now();
        let drain = CancellationToken::new();
        assert_eq!(next(&mut receiver, 3, SECOND, &drain).await, Some(vec![7]));
        assert_eq!(started.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_lets_everything_out_without_waiting_and_then_ends() {
        let (queue, mut receiver) = queue(8);
        (0..5).for_each(|item| queue.push(item));
        let drain = CancellationToken::new();
        drain.cancel();
        let started = Instant::now();
        assert_eq!(next(&mut receiver, 3, SECOND, &drain).await, Some(vec![0, 1, 2]));
        assert_eq!(next(&mut receiver, 3, SECOND, &drain).await, Some(vec![3, 4]));
        assert_eq!(next(&mut receiver, 3, SECOND, &drain).await, None);
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_wakes_a_batch_that_is_filling() {
        let (queue, mut receiver) = queue(8);
        queue.push(1);
        let drain = CancellationToken::new();
        let started = Instant::now();
        let (batch, ()) = tokio::join!(next(&mut receiver, 3, SECOND, &drain), async {
            tokio::task::yield_now().await;
            drain.cancel();
        });
        assert_eq!(batch, Some(vec![1]));
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_never_waits() {
        let (queue, mut receiver) = queue(2);
        (0..5).for_each(|item| queue.push(item));
        receiver.close();
        let mut kept = Vec::new();
        receiver.recv_many(&mut kept, 8).await;
        assert_eq!(kept, [0, 1]);
    }
}
