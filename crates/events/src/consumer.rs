//! Runs a handler over a subscription until told to stop.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use regatta_core::{Chain, Context, TraceContext};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::away::Away;
use crate::{BusError, CloudEvent, Deliveries, Delivery, EventBus, Subscription};

/// First and longest pause after the bus has failed.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What to do with an event.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Handles the event; called again for the same event after a failure, a crash or a lost
    /// acknowledgement, so its effect must be safe to repeat or kept with an inbox.
    ///
    /// It runs in the trace of what caused the event.
    ///
    /// # Errors
    ///
    /// [`Failure`] says whether another delivery may help. A panic counts as
    /// [`Failure::Retry`]; so does taking longer than the lease.
    ///
    /// # Cancel safety
    ///
    /// It is dropped half-way when the lease runs out.
    async fn handle(&self, event: &CloudEvent, delivery: u32) -> Result<(), Failure>;
}

/// Why an event was not handled. The text goes into the dead letter: no personal data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Another delivery may succeed.
    #[error("{0}")]
    Retry(String),
    /// No delivery can succeed.
    #[error("{0}")]
    Reject(String),
    /// What the handler needs for every event, such as its database, is away. The delivery does not
    /// count, and the consumer pauses before it takes more: at first for 1 s, at last for 30 s, until an
    /// event is handled.
    #[error("{0}")]
    Away(String),
}

/// A handler and its subscription, to be run. Up to `max_in_flight` events are handled at once; those
/// of one `partitionkey` one after the other.
pub struct Consumer<H> {
    bus: Arc<dyn EventBus>,
    subscription: Subscription,
    handler: Arc<H>,
}

impl<H> std::fmt::Debug for Consumer<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}

impl<H: Handler> Consumer<H> {
    /// A consumer, not yet running.
    pub fn new(bus: Arc<dyn EventBus>, subscription: Subscription, handler: H) -> Self {
        Self { bus, subscription, handler: Arc::new(handler) }
    }

    /// Handles events until `drain` is cancelled, then gives back what is not begun, finishes what is
    /// under way and returns.
    ///
    /// A bus that is away is tried again, at first after 100 ms, at last every 5 s.
    ///
    /// # Errors
    ///
    /// [`BusError::Subscription`] when a setting is out of range; nothing else ends it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what is under way is finished by its own tasks or delivered again.
    pub async fn run(self, drain: CancellationToken) -> Result<(), BusError> {
        self.subscription.validate()?;
        let tasks = TaskTracker::new();
        let mut deliveries: Option<Box<dyn Deliveries>> = None;
        let mut pause = FIRST_PAUSE;
        let away = Arc::new(Mutex::new(Away::default()));
        loop {
            let paused = lock(&away).until(Instant::now());
            if let Some(until) = paused {
                tokio::select! {
                    () = drain.cancelled() => break,
                    () = tokio::time::sleep_until(until) => continue,
                }
            }
            let turn = self.turn(&mut deliveries);
            let next = tokio::select! {
                biased;
                () = drain.cancelled() => break,
                next = turn => next,
            };
            match next {
                Ok(batch) => {
                    pause = FIRST_PAUSE;
                    for delivery in batch {
                        tasks.spawn(handle(self.handler.clone(), delivery, away.clone()));
                    }
                }
                Err(error) => {
                    let group = self.subscription.group.as_str();
                    tracing::warn!(group, error = %Chain(&error), "no events; trying again");
                    deliveries = None;
                    tokio::select! {
                        () = drain.cancelled() => break,
                        () = tokio::time::sleep(pause) => (),
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        if let Some(joined) = &mut deliveries {
            joined.leave().await;
        }
        tasks.close();
        tasks.wait().await;
        Ok(())
    }

    async fn turn(
        &self,
        deliveries: &mut Option<Box<dyn Deliveries>>,
    ) -> Result<Vec<Delivery>, BusError> {
        let joined = match deliveries {
            Some(joined) => joined,
            None => deliveries.insert(self.bus.subscribe(self.subscription.clone()).await?),
        };
        joined.next_batch().await
    }
}

async fn handle<H: Handler>(handler: Arc<H>, delivery: Delivery, away: Arc<Mutex<Away>>) {
    let (event, number) = (delivery.event(), delivery.number());
    let handling = Arc::new(context(event)).scope(handler.handle(event, number));
    let handling = AssertUnwindSafe(handling).catch_unwind();
    let result = match tokio::time::timeout(delivery.lease(), handling).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Failure::Retry("the handler panicked".to_owned())),
        Err(_) => Err(Failure::Retry(crate::FailedDelivery::LEASE_RAN_OUT.to_owned())),
    };
    let (id, event_type) = (event.id().to_owned(), event.event_type().to_owned());
    if let Err(failure) = &result {
        tracing::warn!(id, r#type = event_type, number, error = %failure, "event not handled");
    }
    let settled = match result {
        Ok(()) => {
            lock(&away).is_back();
            delivery.ack().await
        }
        Err(Failure::Retry(reason)) => delivery.retry(reason).await,
        Err(Failure::Reject(reason)) => delivery.reject(reason).await,
        Err(Failure::Away(_)) => {
            let pause = lock(&away).pause(Instant::now());
            delivery.away(pause).await
        }
    };
    if let Err(error) = settled {
        tracing::warn!(id, r#type = event_type, error = %Chain(&error), "event not settled");
    }
}

fn lock(away: &Mutex<Away>) -> MutexGuard<'_, Away> {
    // Every change is one assignment or two that may stand alone.
    away.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The context of what caused the event.
fn context(event: &CloudEvent) -> Context {
    let mut context = Context::default();
    let traceparent = event.extension(CloudEvent::TRACEPARENT);
    context.trace = traceparent.and_then(|text| TraceContext::parse(text.as_bytes()).ok());
    context.request_id = event.extension(CloudEvent::CORRELATION_ID).map(Into::into);
    context
}
