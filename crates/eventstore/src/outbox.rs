//! The outbox: messages kept with what they tell of, and the relay that publishes them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regatta_core::Chain;
use regatta_events::{BusError, CloudEvent, EventBus};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{StoreError, backoff};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Keeps messages, in order, until a relay has published them.
///
/// One relay at a time has the turn, for as long as its lease: a relay that dies, or is slower than
/// its lease, costs messages that are published twice, never one that is lost or that overtakes
/// another of its stream for the first time.
#[async_trait]
pub trait Outbox: fmt::Debug + Send + Sync + 'static {
    /// Takes or keeps the turn, and gives the oldest messages; none while another relay has it. An
    /// empty outbox gives no messages, and no turn.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: at worst the turn is taken until its lease runs out.
    async fn claim(
        &self,
        relay: Uuid,
        lease: Duration,
        limit: u32,
    ) -> Result<Option<Vec<Queued>>, StoreError>;

    /// Takes published messages off; false when the turn was lost. Those numbers and no others: a
    /// lower one may come late.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium: they may be taken off.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have taken them off.
    async fn published(&self, relay: Uuid, numbers: &[u64]) -> Result<bool, StoreError>;

    /// As [`Outbox::published`], and then as [`Outbox::claim`], as far as it goes in one: takes published
    /// messages off, keeps the turn, and gives the oldest that are left. None when the turn was lost.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium: the messages may be taken off. Repeating it is safe.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have taken them off.
    async fn go_on(
        &self,
        relay: Uuid,
        published: &[u64],
        lease: Duration,
        limit: u32,
    ) -> Result<Option<Vec<Queued>>, StoreError> {
        match self.published(relay, published).await? {
            true => self.claim(relay, lease, limit).await,
            false => Ok(None),
        }
    }

    /// Sets aside a message that no bus takes, with the reason; false when the turn was lost.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium: it may be set aside.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have set it aside.
    async fn set_aside(&self, relay: Uuid, number: u64, reason: &str) -> Result<bool, StoreError>;

    /// Gives the turn back.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium: the lease runs out by itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the lease runs out by itself.
    async fn release(&self, relay: Uuid) -> Result<(), StoreError>;

    /// How many messages wait, and how many are set aside.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; reads may be repeated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn backlog(&self) -> Result<(u64, u64), StoreError>;

    /// Waits until there may be a message; it may return without.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only waits.
    async fn wait_for_message(&self);
}

/// A message in the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Its place: ascending.
    pub number: u64,
    /// The message.
    pub event: CloudEvent,
}

/// What an operator may set about a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelaySettings {
    /// How many messages are published at a time. Default 100; 1 to 1000.
    pub batch: u32,
    /// How long a relay keeps its turn without a sign of life, and how long others wait after it
    /// died. Default 10 s; 1 s to 10 min. Publishing a batch must take less.
    pub lease: Duration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self { batch: 100, lease: Duration::from_secs(10) }
    }
}

/// A setting of a relay is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRelay {
    /// Nothing, or too much at a time.
    #[error("batch `{0}` is out of range; use 1 to 1000")]
    Batch(u32),
    /// Too short for a batch, or too long to wait for.
    #[error("lease `{0:?}` is out of range; use 1 s to 10 min")]
    Lease(Duration),
}

impl RelaySettings {
    /// The longest lease: 10 min. An outbox that is told a turn ends later than that knows that its
    /// clock was set back.
    pub const LONGEST_LEASE: Duration = Duration::from_secs(600);

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`InvalidRelay`] names the first out of range.
    pub fn validate(&self) -> Result<(), InvalidRelay> {
        if !(1..=1000).contains(&self.batch) {
            return Err(InvalidRelay::Batch(self.batch));
        }
        if !(Duration::from_secs(1)..=Self::LONGEST_LEASE).contains(&self.lease) {
            return Err(InvalidRelay::Lease(self.lease));
        }
        Ok(())
    }
}

/// Publishes what is in an outbox, in order, at least once. Any number may run.
#[derive(Debug)]
pub struct Relay {
    id: Uuid,
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn EventBus>,
    settings: RelaySettings,
}

/// What a turn came to.
enum Turn {
    Published,
    Empty,
    NotMine,
}

impl Relay {
    /// A relay from this outbox to this bus.
    pub fn new(outbox: Arc<dyn Outbox>, bus: Arc<dyn EventBus>, settings: RelaySettings) -> Self {
        Self { id: Uuid::new_v4(), outbox, bus, settings }
    }

    /// Publishes until `drain` is cancelled, then finishes the batch under way and gives its turn
    /// back.
    ///
    /// A bus or a store that is away is tried again, at first after 100 ms or less, at last within
    /// 10 s; nothing is lost meanwhile. A message that no bus takes is set aside, with an error in
    /// the log, so that it does not stop those behind it.
    ///
    /// # Errors
    ///
    /// [`InvalidRelay`] when a setting is out of range; nothing else ends it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what was published and not yet taken off is published again.
    pub async fn run(self, drain: CancellationToken) -> Result<(), InvalidRelay> {
        self.settings.validate()?;
        let (mut failures, mut published) = (0, Vec::new());
        while !drain.is_cancelled() {
            let wait = match self.turn(&mut published).await {
                Ok(Turn::Published) => {
                    failures = 0;
                    continue;
                }
                Ok(Turn::Empty) => {
                    failures = 0;
                    None
                }
                Ok(Turn::NotMine) => Some(self.settings.lease / 4),
                Err(error) => {
                    failures += 1;
                    tracing::warn!(error = %Chain(&*error), "messages not published; trying again");
                    let random = rand::random();
                    Some(backoff::pause(failures, FIRST_PAUSE, LONGEST_PAUSE, random))
                }
            };
            tokio::select! {
                () = drain.cancelled() => (),
                () = self.wait(wait) => (),
            }
        }
        if !published.is_empty()
            && let Err(error) = self.outbox.published(self.id, &published).await
        {
            tracing::debug!(error = %Chain(&error), "messages not taken off; they come once more");
        }
        if let Err(error) = self.outbox.release(self.id).await {
            tracing::debug!(error = %Chain(&error), "turn not given back; its lease runs out");
        }
        Ok(())
    }

    async fn wait(&self, pause: Option<Duration>) {
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => self.outbox.wait_for_message().await,
        }
    }

    /// Publishes the next batch. `published` is what was published before and is to be taken off.
    async fn turn(
        &self,
        published: &mut Vec<u64>,
    ) -> Result<Turn, Box<dyn std::error::Error + Send + Sync>> {
        let RelaySettings { batch, lease } = self.settings;
        // Past the lease another relay may publish, so this one must have stopped.
        let lease_ends = Instant::now() + lease;
        let claimed = match published.is_empty() {
            true => self.outbox.claim(self.id, lease, batch).await?,
            false => self.outbox.go_on(self.id, published, lease, batch).await?,
        };
        published.clear();
        let Some(messages) = claimed else { return Ok(Turn::NotMine) };
        if messages.is_empty() {
            return Ok(Turn::Empty);
        }
        let (numbers, events): (Vec<_>, Vec<_>) =
            messages.into_iter().map(|message| (message.number, message.event)).unzip();
        match tokio::time::timeout_at(lease_ends, self.bus.publish(&events)).await {
            Ok(Ok(())) => {
                *published = numbers;
                Ok(Turn::Published)
            }
            // Only what is wrong with a message itself sets it aside; a bus that is ill gets well.
            Ok(Err(error)) if error.refuses_event() => {
                self.one_by_one(numbers.into_iter().zip(events)).await
            }
            Ok(Err(error)) => Err(error.into()),
            Err(late) => Err(late.into()),
        }
    }

    /// Publishes a batch in which something is not for the bus.
    async fn one_by_one(
        &self,
        messages: impl Iterator<Item = (u64, CloudEvent)>,
    ) -> Result<Turn, Box<dyn std::error::Error + Send + Sync>> {
        let lease = self.settings.lease;
        for (number, event) in messages {
            if self.outbox.claim(self.id, lease, 1).await?.is_none() {
                return Ok(Turn::NotMine);
            }
            let publishing = self.bus.publish(std::slice::from_ref(&event));
            let published = tokio::time::timeout(lease, publishing).await?;
            match published {
                Ok(()) => drop(self.outbox.published(self.id, &[number]).await?),
                Err(error) if error.refuses_event() => self.refuse(number, &event, &error).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Turn::Published)
    }

    async fn refuse(
        &self,
        number: u64,
        event: &CloudEvent,
        error: &BusError,
    ) -> Result<(), StoreError> {
        let reason = Chain(error).to_string();
        tracing::error!(number, id = event.id(), error = reason, "message set aside");
        self.outbox.set_aside(self.id, number, &reason).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        assert_eq!(RelaySettings::default().validate(), Ok(()));
        for batch in [0, 1001] {
            let wrong = RelaySettings { batch, ..RelaySettings::default() };
            assert_eq!(wrong.validate(), Err(InvalidRelay::Batch(batch)));
        }
        for lease in [Duration::from_millis(999), Duration::from_secs(601)] {
            let wrong = RelaySettings { lease, ..RelaySettings::default() };
            assert_eq!(wrong.validate(), Err(InvalidRelay::Lease(lease)));
        }
    }
}
