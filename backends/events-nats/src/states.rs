//! The groups' states in NATS: read, and set if nobody has set them meanwhile.

use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::RawMessageErrorKind;
use async_nats::{HeaderMap, Subscriber};
use futures::{StreamExt, TryStreamExt};
use regatta_events::{BusError, GroupName};

use crate::group::Group;
use crate::link::{Link, broken, unavailable};
use crate::log;

/// Says in a state's message who has set it.
pub(crate) const AUTHOR: &str = "Regatta-Author";

/// How often a change is tried that others are faster with.
const TRIES: u32 = 50;

/// The state and its revision; none when there is no such group.
pub(crate) async fn load(link: &Link, group: &GroupName) -> Result<Option<(Group, u64)>, BusError> {
    let subject = link.names.group(group);
    let message = link.streams().await?.groups.get_last_raw_message_by_subject(&subject).await;
    match message {
        Ok(message) => {
            let group = serde_json::from_slice(&message.payload).map_err(broken)?;
            Ok(Some((group, message.sequence)))
        }
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

/// Sets the state if its revision is still this one (0: there is none); answers the new revision, or
/// none when somebody was faster.
pub(crate) async fn set(
    link: &Link,
    name: &GroupName,
    (group, revision): (&Group, u64),
    author: &str,
) -> Result<Option<u64>, BusError> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string().as_str());
    headers.insert(AUTHOR, author);
    let json = serde_json::to_vec(group).map_err(broken)?;
    let sent = link.jetstream.publish_with_headers(link.names.group(name), headers, json.into());
    let acked = match sent.await {
        Ok(ack) => ack.await,
        Err(error) => Err(error),
    };
    match acked {
        Ok(ack) => Ok(Some(ack.sequence)),
        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
        Err(error) => Err(log::failed(link, error).await),
    }
}

/// Changes the state of a group, whoever else does.
pub(crate) async fn change<T>(
    link: &Link,
    name: &GroupName,
    mut change: impl FnMut(&mut Group) -> T,
) -> Result<T, BusError> {
    for turn in 0..TRIES {
        let unknown = || BusError::UnknownGroup { group: name.clone() };
        let (mut group, revision) = load(link, name).await?.ok_or_else(unknown)?;
        let answer = change(&mut group);
        if set(link, name, (&group, revision), "").await?.is_some() {
            return Ok(answer);
        }
        let pause = rand::random_range(0..=u64::from(turn.min(10)));
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    Err(unavailable("others change the consumer group all the time"))
}

/// Up to where every group has settled everything; none when there is no group.
pub(crate) async fn floor(link: &Link) -> Result<Option<u64>, BusError> {
    Ok(all(link).await?.iter().map(|(_, group)| group.floor()).min())
}

/// Every group and its state.
pub(crate) async fn all(link: &Link) -> Result<Vec<(GroupName, Group)>, BusError> {
    let streams = link.streams().await?;
    let subjects = streams.groups.info_with_subjects(link.names.all_groups()).await;
    let mut subjects = subjects.map_err(unavailable)?;
    let mut all = Vec::new();
    while let Some((subject, _)) = subjects.try_next().await.map_err(unavailable)? {
        if let Some(name) = link.names.group_of(&subject)
            && let Some((group, _)) = load(link, &name).await?
        {
            all.push((name, group));
        }
    }
    Ok(all)
}

/// Waits until another process has set the state.
pub(crate) async fn foreign(news: &mut Option<Subscriber>, me: &str) {
    let Some(subscriber) = news else { return std::future::pending().await };
    loop {
        let Some(message) = subscriber.next().await else {
            *news = None;
            return;
        };
        let author = message.headers.as_ref().and_then(|headers| headers.get(AUTHOR));
        if author.is_none_or(|author| author.as_str() != me) {
            return;
        }
    }
}
