//! What is known of events that failed: dead letters, and those of events still open.

use async_nats::jetstream::stream::RawMessageErrorKind;
use futures::TryStreamExt;
use regatta_events::{BusError, CloudEvent, DeadLetter, FailedDelivery, GroupName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::group::{Claim, Group};
use crate::link::{Link, broken, unavailable};
use crate::subject::position_of;
use crate::{log, states};

/// An event, and each delivery that failed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Letter {
    event: Value,
    reason: String,
    failures: Vec<Failure>,
    /// Microseconds since 1970.
    died_at: i64,
}

#[derive(Serialize, Deserialize)]
struct Failure {
    number: u32,
    /// Microseconds since 1970.
    at: i64,
    reason: String,
}

impl Letter {
    /// What the letter before knows, with this delivery; of a first delivery nothing is known.
    pub(crate) fn add(
        before: Option<Self>,
        event: &CloudEvent,
        number: u32,
        reason: &str,
        now: OffsetDateTime,
    ) -> Self {
        let before = before.filter(|_| number > 1).map(|letter| letter.failures);
        let mut failures: Vec<_> =
            before.unwrap_or_default().into_iter().map(Failure::into_failed).collect();
        // A try that was repeated, because somebody else was faster, is one.
        failures.retain(|failure| failure.number != number);
        FailedDelivery { number, at: now, reason: reason.to_owned() }.push(&mut failures);
        let reason = failures.last().map(|failure| failure.reason.clone()).unwrap_or_default();
        Self {
            event: event.to_json(),
            reason,
            failures: failures.into_iter().map(Failure::from).collect(),
            died_at: micros(now),
        }
    }

    pub(crate) fn event(&self) -> Result<CloudEvent, BusError> {
        CloudEvent::from_json(self.event.clone()).map_err(broken)
    }

    fn into_dead(self, position: u64) -> Result<DeadLetter, BusError> {
        Ok(DeadLetter {
            position,
            event: self.event()?,
            reason: self.reason,
            failures: self.failures.into_iter().map(Failure::into_failed).collect(),
            died_at: from_micros(self.died_at),
        })
    }
}

impl Failure {
    fn into_failed(self) -> FailedDelivery {
        FailedDelivery { number: self.number, at: from_micros(self.at), reason: self.reason }
    }
}

impl From<FailedDelivery> for Failure {
    fn from(failed: FailedDelivery) -> Self {
        Self { number: failed.number, at: micros(failed.at), reason: failed.reason }
    }
}

pub(crate) async fn read(
    link: &Link,
    group: &GroupName,
    position: u64,
) -> Result<Option<Letter>, BusError> {
    let subject = link.names.letter(group, position);
    match link.streams().await?.letters.get_last_raw_message_by_subject(&subject).await {
        Ok(message) => Ok(Some(serde_json::from_slice(&message.payload).map_err(broken)?)),
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

pub(crate) async fn write(
    link: &Link,
    group: &GroupName,
    position: u64,
    letter: &Letter,
) -> Result<(), BusError> {
    let json = serde_json::to_vec(letter).map_err(broken)?;
    let subject = link.names.letter(group, position);
    let acked = match link.jetstream.publish(subject, json.into()).await {
        Ok(ack) => ack.await,
        Err(error) => Err(error),
    };
    match acked {
        Ok(_) => Ok(()),
        Err(error) => Err(log::failed(link, error).await),
    }
}

pub(crate) async fn delete(link: &Link, group: &GroupName, position: u64) -> Result<(), BusError> {
    let purge = link.streams().await?.letters.purge();
    let purge = purge.filter(link.names.letter(group, position));
    purge.await.map(drop).map_err(unavailable)
}

/// Writes that a delivery failed into the letter about its event.
pub(crate) async fn tell(
    link: &Link,
    name: &GroupName,
    (claim, event, has_letter, reason): (Claim, &CloudEvent, bool, &str),
) -> Result<(), BusError> {
    let before = match has_letter {
        true => read(link, name, claim.position).await?,
        false => None,
    };
    let letter = Letter::add(before, event, claim.number, reason, OffsetDateTime::now_utc());
    write(link, name, claim.position, &letter).await
}

/// The event, as it is known, from the log or from its letter; none when all have let it go.
pub(crate) async fn find(
    link: &Link,
    name: &GroupName,
    position: u64,
    known: Option<CloudEvent>,
) -> Result<Option<CloudEvent>, BusError> {
    if known.is_some() {
        return Ok(known);
    }
    if let Some(event) = log::at(link, position).await? {
        return Ok(Some(event));
    }
    let letter = read(link, name, position).await?;
    letter.map(|letter| letter.event()).transpose()
}

/// The group's dead letters after this position, oldest first.
pub(crate) async fn dead(
    link: &Link,
    group: &GroupName,
    after: u64,
    limit: usize,
) -> Result<Vec<DeadLetter>, BusError> {
    let Some((state, _)) = states::load(link, group).await? else { return Ok(Vec::new()) };
    let mut positions = positions(link, group, &state).await?;
    positions.retain(|position| *position > after);
    let mut dead = Vec::new();
    for position in positions.into_iter().take(limit) {
        if let Some(letter) = read(link, group, position).await? {
            dead.push(letter.into_dead(position)?);
        }
    }
    Ok(dead)
}

/// Where the group has dead letters, in order; nothing of them is read.
pub(crate) async fn positions(
    link: &Link,
    group: &GroupName,
    state: &Group,
) -> Result<Vec<u64>, BusError> {
    let streams = link.streams().await?;
    let subjects = streams.letters.info_with_subjects(link.names.letters_of(group)).await;
    let mut subjects = subjects.map_err(unavailable)?;
    let mut positions = Vec::new();
    while let Some((subject, _)) = subjects.try_next().await.map_err(unavailable)? {
        positions.extend(position_of(&subject));
    }
    positions.retain(|position| !state.is_open(*position));
    positions.sort_unstable();
    Ok(positions)
}

fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

fn from_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_in_order_and_a_repeated_try_once() {
        let event = CloudEvent::try_new("1", "/shop", "order.placed").unwrap();
        let add = |before, number, reason| {
            Letter::add(before, &event, number, reason, OffsetDateTime::UNIX_EPOCH)
        };
        let first = add(None, 1, "first");
        let twice = add(Some(first), 1, "first");
        let second = add(Some(twice), 2, "second").into_dead(7).unwrap();
        let numbers: Vec<_> = second.failures.iter().map(|failure| failure.number).collect();
        assert_eq!((numbers, second.reason.as_str()), (vec![1, 2], "second"));
        // Delivered again from the dead letters it begins anew.
        let again = add(Some(add(None, 2, "old")), 1, "new").into_dead(7).unwrap();
        assert_eq!(again.failures.len(), 1);
    }
}
