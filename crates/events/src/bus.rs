//! The port of event buses.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{
    CloudEvent, Deliveries, GroupName, GroupStanding, InvalidSubscription, Start, Subscription,
    TypeFilter,
};

/// Takes events and delivers each to each consumer group, at least once.
///
/// Implementations must pass every check in `conformance`.
///
/// - **Durable before acknowledged**: what `publish` has taken is delivered, also after a crash, as
///   far as the backend is durable at all.
/// - **Order**: within a group, events of one `partitionkey` are delivered one at a time, in the
///   order of the log; an event without one waits for no other.
/// - **Once, as far as a bus can tell**: an event that is published again (same `source` and `id`)
///   while the bus still has it is not taken twice.
#[async_trait]
pub trait EventBus: fmt::Debug + Send + Sync + 'static {
    /// Takes the events, in this order, all or none.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the bus does not answer: it may have taken them, and
    /// publishing them again is safe. [`BusError::Full`] when a bound is reached.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have published. Publishing again is safe.
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), BusError>;

    /// Joins a consumer group, and makes it when it is new.
    ///
    /// # Errors
    ///
    /// [`BusError::Subscription`] when a setting is out of range.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: at worst the group exists.
    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Deliveries>, BusError>;

    /// Whether the bus serves, for a health check.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the bus does not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn probe(&self) -> Result<(), BusError> {
        let nothing = HistoryQuery { after: u64::MAX, limit: 1, ..HistoryQuery::default() };
        self.history(&nothing).await.map(drop)
    }

    /// The events that the bus still has, oldest first.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the bus does not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Logged>, BusError>;

    /// Sets a group back, or forward, to deliver from there on. What is under way stays under way.
    ///
    /// # Errors
    ///
    /// [`BusError::UnknownGroup`] when nobody has subscribed as this group.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have moved the group. Repeating it is safe.
    async fn replay(&self, group: &GroupName, start: Start) -> Result<(), BusError>;

    /// The group's dead letters after this position, oldest first.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the bus does not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn dead_letters(
        &self,
        group: &GroupName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError>;

    /// Delivers dead letters again, as if for the first time, oldest first; answers how many.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the bus does not answer.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have redriven some. None is lost.
    async fn redrive(&self, group: &GroupName, redrive: &Redrive) -> Result<u64, BusError>;

    /// Every group that is known, by name.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the bus does not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn groups(&self) -> Result<Vec<GroupStanding>, BusError>;

    /// How far this group has come. It counts, and reads no event.
    ///
    /// # Errors
    ///
    /// [`BusError::UnknownGroup`] when nobody has subscribed as this group.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn standing(&self, group: &GroupName) -> Result<GroupStanding, BusError>;

    /// Takes off a group that nobody will join again, with its dead letters; false when it is not
    /// known. Until then the log keeps what the group has not settled. Who is subscribed as it gets
    /// nothing more.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the bus does not answer.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have taken it off.
    async fn forget(&self, group: &GroupName) -> Result<bool, BusError>;
}

/// An event in the log of the bus.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Its place: ascending, not necessarily without gaps.
    pub position: u64,
    /// When the bus took it.
    pub recorded_at: OffsetDateTime,
    /// The event.
    pub event: CloudEvent,
}

/// Which part of the log to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only what comes after this position; 0 for all.
    pub after: u64,
    /// Only what the bus took at this time or later.
    pub since: Option<OffsetDateTime>,
    /// Only these types.
    pub types: TypeFilter,
    /// At most so many. Default 100.
    pub limit: u32,
}

impl Default for HistoryQuery {
    fn default() -> Self {
        Self { after: 0, since: None, types: TypeFilter::default(), limit: 100 }
    }
}

/// An event that a group could not handle.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Its place in the log.
    pub position: u64,
    /// The event.
    pub event: CloudEvent,
    /// Why it was given up.
    pub reason: String,
    /// Each delivery that failed, oldest first; at most the last 20.
    pub failures: Vec<FailedDelivery>,
    /// When it was given up.
    pub died_at: OffsetDateTime,
}

/// A delivery that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDelivery {
    /// Its number, from 1.
    pub number: u32,
    /// When it failed.
    pub at: OffsetDateTime,
    /// Why.
    pub reason: String,
}

impl FailedDelivery {
    /// How many a bus keeps of one event.
    pub const KEPT: usize = 20;
    /// How many bytes a bus keeps of a reason.
    pub const LONGEST_REASON: usize = 1000;
    /// The reason when a subscriber has vanished or was too slow.
    pub const LEASE_RAN_OUT: &'static str = "not settled within its lease";

    /// Adds a failure; of many the oldest are let go, and a long reason is cut.
    pub fn push(self, failures: &mut Vec<Self>) {
        if failures.len() >= Self::KEPT {
            failures.remove(0);
        }
        failures.push(Self { reason: cut(&self.reason), ..self });
    }
}

/// The beginning of a reason that is too long, whole characters only.
fn cut(reason: &str) -> String {
    let mut end = reason.len().min(FailedDelivery::LONGEST_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

/// Which dead letters to deliver again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redrive {
    /// The oldest, at most so many.
    Oldest(u32),
    /// Those at these positions.
    Positions(Vec<u64>),
}

/// The bus could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The bus does not answer, or not in time.
    #[error("the event bus does not answer; see that it runs and that `events.url` is right")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// Nobody has made a bus there, and who asks does not make one.
    #[error("there is no event bus there; see that its URL is right: its first service makes it")]
    Absent,
    /// The bus holds as much as it may.
    #[error("the event bus holds `{held}` events and takes no more until its groups catch up")]
    Full {
        /// How many it holds.
        held: usize,
    },
    /// An event is larger than the bus takes.
    #[error("event `{id}` has {bytes} bytes, and the bus takes {limit}; send a reference instead")]
    TooLarge {
        /// The event's id.
        id: String,
        /// Its size in JSON.
        bytes: usize,
        /// The largest.
        limit: usize,
    },
    /// A setting of the subscription is out of range.
    #[error("the subscription is not valid")]
    Subscription(#[from] InvalidSubscription),
    /// Nobody has subscribed as this group.
    #[error("consumer group `{group}` is not known; subscribe as it first")]
    UnknownGroup {
        /// The group.
        group: GroupName,
    },
    /// The delivery was not settled in time and has gone to another subscriber, or will.
    #[error("the lease on this delivery has run out; it is delivered again")]
    LeaseLost,
    /// What the bus holds is not what this program wrote.
    #[error("the event bus holds something that cannot be read")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

impl BusError {
    /// Whether the bus will never take this event, whatever becomes of the bus.
    pub fn refuses_event(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Full { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_bounded_in_number_and_length() {
        let mut failures = Vec::new();
        for number in 1..=25 {
            let reason = "é".repeat(600);
            let at = OffsetDateTime::UNIX_EPOCH;
            FailedDelivery { number, at, reason }.push(&mut failures);
        }
        let numbers: Vec<_> = failures.iter().map(|failure| failure.number).collect();
        assert_eq!(numbers, (6..=25).collect::<Vec<_>>());
        assert_eq!(failures[0].reason, "é".repeat(500));
    }
}
