//! The log of events: published, read, let go.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::stream::RawMessageErrorKind;
use bytes::Bytes;
use futures::StreamExt;
use regatta_events::{BusError, CloudEvent, HistoryQuery, JSON_CONTENT_TYPE, Logged, Start};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::link::{IN_FLIGHT, Link, broken, unavailable};
use crate::window::Window;

/// The largest event as JSON: NATS takes messages of 1 MiB with their headers.
const LARGEST: usize = (1 << 20) - 8192;

/// How many events are read at a time.
const PAGE: usize = 256;

/// How long the server keeps a consumer that nobody reads from.
const KEPT_BY_SERVER: Duration = Duration::from_secs(30);

/// JetStream's errors of a stream or a server that is full.
const FULL: [u64; 4] = [10077, 10047, 10023, 10002];

/// Publishes the events in their order; the first that is not taken ends it.
pub(crate) async fn publish(link: &Link, events: &[CloudEvent]) -> Result<(), BusError> {
    let texts: Vec<_> = events.iter().map(CloudEvent::to_json_string).collect();
    let largest = LARGEST.min(link.client.max_payload().saturating_sub(8192).max(1));
    for (event, text) in events.iter().zip(&texts) {
        if text.len() > largest {
            let (id, bytes) = (event.id().to_owned(), text.len());
            return Err(BusError::TooLarge { id, bytes, limit: largest });
        }
    }
    link.streams().await?;
    let mut window = Window::new(IN_FLIGHT / 4);
    for (event, text) in events.iter().zip(texts) {
        let key = event.partition_key();
        while !window.admits(key)
            && let Some(ack) = window.pop()
        {
            taken(link, ack).await?;
        }
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, message_id(event).as_str());
        headers.insert("Content-Type", JSON_CONTENT_TYPE);
        let subject = link.names.event(event.event_type());
        let sent = link.jetstream.publish_with_headers(subject, headers, text.into()).await;
        match sent {
            Ok(ack) => window.push(key, ack),
            Err(error) => return Err(failed(link, error).await),
        }
    }
    while let Some(ack) = window.pop() {
        taken(link, ack).await?;
    }
    Ok(())
}

async fn taken(link: &Link, ack: PublishAckFuture) -> Result<(), BusError> {
    match ack.await {
        Ok(_) => Ok(()),
        Err(error) => Err(failed(link, error).await),
    }
}

/// The same for the same source and id, and a header whatever is in them.
fn message_id(event: &CloudEvent) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    use std::fmt::Write as _;

    let name = format!("{}\n{}", event.source(), event.id());
    let hash = digest(&SHA256, name.as_bytes());
    hash.as_ref()[..16].iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Why something was not published.
pub(crate) async fn failed(link: &Link, error: PublishError) -> BusError {
    if error.kind() == PublishErrorKind::StreamNotFound {
        link.forget_streams();
    }
    if !is_full(&error) {
        return unavailable(error);
    }
    let Ok(streams) = link.streams().await else { return unavailable(error) };
    match streams.events.get_info().await {
        Ok(info) => {
            BusError::Full { held: usize::try_from(info.state.messages).unwrap_or(usize::MAX) }
        }
        Err(_) => unavailable(error),
    }
}

fn is_full(error: &PublishError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(found) = cause {
        if let Some(error) = found.downcast_ref::<async_nats::jetstream::Error>() {
            return FULL.contains(&error.error_code().0);
        }
        cause = found.source();
    }
    false
}

/// The position of the newest event.
pub(crate) async fn newest(link: &Link) -> Result<u64, BusError> {
    let info = link.streams().await?.events.get_info().await.map_err(unavailable)?;
    Ok(info.state.last_sequence)
}

/// The position after which a group that starts there begins.
pub(crate) async fn start(link: &Link, start: Start) -> Result<u64, BusError> {
    Ok(match start {
        Start::Beginning => 0,
        Start::Latest => newest(link).await?,
        Start::After(position) => position.min(newest(link).await?),
        Start::Time(time) => {
            let newest = newest(link).await?;
            let mut read = Reading::from_time(link, time, true).await?;
            match read.next(newest).await? {
                Some((position, ..)) => position - 1,
                None => newest,
            }
        }
    })
}

/// Where the last look ended. Who looks again and again, as `tail` does, goes on from there: what was
/// read is not read again, and the server keeps one consumer for it.
#[derive(Default)]
pub(crate) struct LastLook(Mutex<Option<(HistoryQuery, Instant, Reading)>>);

impl std::fmt::Debug for LastLook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LastLook").finish_non_exhaustive()
    }
}

impl LastLook {
    fn lock(&self) -> MutexGuard<'_, Option<(HistoryQuery, Instant, Reading)>> {
        // One assignment leaves nothing half-made.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was left of it, if this query goes on from there and the server still has it.
    fn take(&self, query: &HistoryQuery, now: Instant) -> Option<Reading> {
        let mut last = self.lock();
        let goes_on = last.as_ref().is_some_and(|(next, at, _)| {
            let is_next = HistoryQuery { limit: query.limit, ..next.clone() } == *query;
            is_next && now.saturating_duration_since(*at) < KEPT_BY_SERVER / 2
        });
        if goes_on { last.take().map(|(.., reading)| reading) } else { None }
    }

    fn keep(&self, query: &HistoryQuery, found: &[Logged], reading: Reading) {
        let after = found.last().map_or(query.after, |last| last.position);
        let next = HistoryQuery { after, ..query.clone() };
        *self.lock() = Some((next, Instant::now(), reading));
    }
}

/// What the query asks for, oldest first.
pub(crate) async fn history(
    link: &Link,
    last: &LastLook,
    query: &HistoryQuery,
) -> Result<Vec<Logged>, BusError> {
    let newest = newest(link).await?;
    if let Some(mut reading) = last.take(query, Instant::now()) {
        let read_before = reading.reached;
        // What goes wrong with it is gone with a new one.
        if let Ok(found) = read_on(&mut reading, query, newest).await
            && (read_before >= newest || reading.reached > read_before)
        {
            last.keep(query, &found, reading);
            return Ok(found);
        }
    }
    let mut reading = match query.since {
        Some(since) if query.after == 0 => Reading::from_time(link, since, false).await?,
        _ => Reading::from_position(link, query.after + 1).await?,
    };
    let found = read_on(&mut reading, query, newest).await?;
    if found.len() < query.limit as usize {
        // All up to there was seen, or is not wanted.
        reading.reached = reading.reached.max(newest);
    }
    last.keep(query, &found, reading);
    Ok(found)
}

async fn read_on(
    reading: &mut Reading,
    query: &HistoryQuery,
    newest: u64,
) -> Result<Vec<Logged>, BusError> {
    let mut found = Vec::new();
    while found.len() < query.limit as usize
        && let Some((position, recorded_at, payload)) = reading.next(newest).await?
    {
        // What another program has put there is none of ours.
        let Some(event) = read(&payload) else { continue };
        let is_wanted = position > query.after && query.since.is_none_or(|at| recorded_at >= at);
        if is_wanted && query.types.passes(event.event_type()) {
            found.push(Logged { position, recorded_at, event });
        }
    }
    Ok(found)
}

/// The event at this position; none when it was let go.
pub(crate) async fn at(link: &Link, position: u64) -> Result<Option<CloudEvent>, BusError> {
    match link.streams().await?.events.get_raw_message(position).await {
        Ok(message) => match read(&message.payload) {
            Some(event) => Ok(Some(event)),
            None => Err(broken("not an event")),
        },
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

/// Lets go of the events before this position that the bus took before this time.
pub(crate) async fn trim(link: &Link, floor: u64, before: OffsetDateTime) -> Result<u64, BusError> {
    let streams = link.streams().await?;
    let newest = newest(link).await?;
    let mut reading = Reading::from_time(link, before, true).await?;
    let first_kept = reading.next(newest).await?.map_or(newest + 1, |(position, ..)| position);
    let first_kept = first_kept.min(floor.saturating_add(1));
    // To purge what is before the first is to purge everything (nats-server 2.9).
    if first_kept <= 1 {
        return Ok(0);
    }
    let purge = streams.events.purge().sequence(first_kept);
    Ok(purge.await.map_err(unavailable)?.purged)
}

pub(crate) fn read(payload: &[u8]) -> Option<CloudEvent> {
    CloudEvent::from_json_slice(payload).ok()
}

/// Reads the log from somewhere on.
struct Reading {
    consumer: async_nats::jetstream::consumer::Consumer<pull::Config>,
    page: VecDeque<(u64, OffsetDateTime, Bytes)>,
    /// Everything up to here was read.
    reached: u64,
}

impl Reading {
    async fn from_position(link: &Link, position: u64) -> Result<Self, BusError> {
        let policy = DeliverPolicy::ByStartSequence { start_sequence: position.max(1) };
        let reading = Self::new(link, policy, false).await?;
        Ok(Self { reached: position.saturating_sub(1), ..reading })
    }

    async fn from_time(
        link: &Link,
        time: OffsetDateTime,
        without_payloads: bool,
    ) -> Result<Self, BusError> {
        Self::new(link, DeliverPolicy::ByStartTime { start_time: time }, without_payloads).await
    }

    async fn new(
        link: &Link,
        deliver_policy: DeliverPolicy,
        headers_only: bool,
    ) -> Result<Self, BusError> {
        let config = pull::Config {
            deliver_policy,
            headers_only,
            ack_policy: AckPolicy::None,
            inactive_threshold: KEPT_BY_SERVER,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let streams = link.streams().await?;
        let consumer = streams.events.create_consumer(config).await.map_err(unavailable)?;
        Ok(Self { consumer, page: VecDeque::new(), reached: 0 })
    }

    /// The next event up to `newest`; none when there is none, as yet.
    async fn next(
        &mut self,
        newest: u64,
    ) -> Result<Option<(u64, OffsetDateTime, Bytes)>, BusError> {
        if self.page.is_empty() && self.reached < newest {
            let fetch = self.consumer.fetch().max_messages(PAGE).messages();
            let mut messages = fetch.await.map_err(unavailable)?;
            while let Some(message) = messages.next().await {
                let message = message.map_err(unavailable)?;
                let info = message.info().map_err(unavailable)?;
                let (position, time) = (info.stream_sequence, info.published);
                self.page.push_back((position, time, message.payload.clone()));
            }
        }
        let next = self.page.pop_front_if(|(position, ..)| *position <= newest);
        if let Some((position, ..)) = &next {
            self.reached = *position;
        }
        Ok(next)
    }
}
