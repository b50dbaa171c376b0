//! An event in the hands of a subscriber, and how it is settled.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::{BusError, CloudEvent};

/// What a subscriber gets, one delivery after the other.
///
/// Dropping it leaves the group; what was not settled comes again when its lease has run out.
#[async_trait]
pub trait Deliveries: fmt::Debug + Send {
    /// Waits for the next event. While `max_in_flight` deliveries are held it waits until one of them
    /// is settled or dropped.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the bus is away; call it again after a pause.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was claimed and not handed out is handed out by the next call, given back by
    /// [`Deliveries::leave`], or comes again after its lease.
    async fn next(&mut self) -> Result<Delivery, BusError>;

    /// Waits as [`Deliveries::next`] does, and takes with the first as many more as are free to go,
    /// as far as `max_in_flight` has room. For who handles them all at once: the lease of each runs
    /// from now on. At least one; a backend that knows no better gives one.
    ///
    /// # Errors
    ///
    /// As [`Deliveries::next`].
    ///
    /// # Cancel safety
    ///
    /// As [`Deliveries::next`].
    async fn next_batch(&mut self) -> Result<Vec<Delivery>, BusError> {
        Ok(vec![self.next().await?])
    }

    /// Gives back what was claimed and not handed out, so that others need not wait until its lease
    /// has run out; that was no delivery. What was handed out stays with who has it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was not given back comes again after its lease.
    async fn leave(&mut self) {}
}

/// An event that this subscriber has until its lease runs out.
///
/// Dropped unsettled, it counts as failed once the lease has run out.
#[derive(Debug)]
#[must_use = "a delivery that is not settled comes again"]
pub struct Delivery {
    event: CloudEvent,
    position: u64,
    number: u32,
    lease: Duration,
    settle: Box<dyn Settle>,
}

/// How a delivery went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done; it does not come again.
    Ack,
    /// It failed for this reason; it comes again after a pause, or is a dead letter.
    Retry(String),
    /// It can never succeed, for this reason; it is a dead letter at once.
    Reject(String),
    /// It was not tried, or not for a reason of its own; it comes again after this pause, and this was
    /// no delivery.
    Away(Duration),
}

/// What a backend does to settle a delivery.
#[async_trait]
pub trait Settle: fmt::Debug + Send + Sync {
    /// Settles it.
    ///
    /// # Errors
    ///
    /// [`BusError::LeaseLost`] when it was too late.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have settled it.
    async fn settle(&self, verdict: Verdict) -> Result<(), BusError>;
}

impl Delivery {
    /// The delivery of this number, from 1, of the event at this position.
    pub fn new(
        event: CloudEvent,
        (position, number): (u64, u32),
        lease: Duration,
        settle: Box<dyn Settle>,
    ) -> Self {
        Self { event, position, number, lease, settle }
    }

    /// The event.
    pub fn event(&self) -> &CloudEvent {
        &self.event
    }

    /// Its place in the log of the bus.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Which delivery of the event to the group this is, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// How long from its delivery it may stay unsettled.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Done; it does not come again.
    ///
    /// # Errors
    ///
    /// [`BusError::LeaseLost`] when it was too late: the event is delivered again.
    /// [`BusError::Unavailable`] when the bus is away: it may be delivered again.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have acknowledged.
    pub async fn ack(self) -> Result<(), BusError> {
        self.settle.settle(Verdict::Ack).await
    }

    /// It failed; it comes again after a pause, or is a dead letter when that was the last time.
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have settled it.
    pub async fn retry(self, reason: impl Into<String>) -> Result<(), BusError> {
        self.settle.settle(Verdict::Retry(reason.into())).await
    }

    /// What handling it needs is away; it comes again after this pause, as if it had not been
    /// delivered.
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have settled it.
    pub async fn away(self, pause: Duration) -> Result<(), BusError> {
        self.settle.settle(Verdict::Away(pause)).await
    }

    /// It can never succeed; it is a dead letter at once.
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have settled it.
    pub async fn reject(self, reason: impl Into<String>) -> Result<(), BusError> {
        self.settle.settle(Verdict::Reject(reason.into())).await
    }
}
