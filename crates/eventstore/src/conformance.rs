//! What every event store must do; each backend's tests run all of it.
//!
//! The checks of the store need no empty one: each uses streams of its own. Those of the outbox do.

#![allow(clippy::unwrap_used, reason = "checks panic on failure, as tests do")]

mod crowd;
mod outbox;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    Append, AppendError, Appended, EventStore, Expected, Filter, InvalidAppend, Metadata, NewEvent,
    Personal, Position, Privacy, Range, Recorded, Snapshot, StreamId, SubjectId, Until, Version,
};

pub use outbox::outbox;

/// How long a change may take to be seen.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs every check of the store.
///
/// # Panics
///
/// When the store does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: events are left behind.
pub async fn all(store: Arc<dyn EventStore>) {
    an_event_survives_the_store_whole(&*store).await;
    versions_count_from_one_without_gaps(&*store).await;
    an_append_happens_as_expected_or_not_at_all(&*store).await;
    the_same_append_happens_once(&*store).await;
    an_id_belongs_to_one_event(&*store).await;
    what_is_not_valid_is_refused(&*store).await;
    of_many_writers_one_wins_each_version(&store).await;
    crowd::each_of_many_appends_at_once_is_judged_by_itself(&store).await;
    crowd::an_append_that_is_given_up_harms_no_other(&store).await;
    a_stream_is_read_in_pages_and_as_it_was(&*store).await;
    all_streams_are_read_in_one_order(&*store).await;
    no_reader_misses_an_event_while_many_write(&store).await;
    streams_are_listed_by_name(&*store).await;
    a_snapshot_is_replaced_by_a_newer_one_only(&*store).await;
    a_checkpoint_is_moved_by_who_knows_where_it_is(&*store).await;
    what_is_personal_goes_with_its_subject(&*store).await;
    who_waits_is_woken_by_an_append(&store).await;
}

/// Every part of an event comes back as it was given.
async fn an_event_survives_the_store_whole(store: &dyn EventStore) {
    let stream = stream();
    let mut event = event("Whole");
    event.revision = 7;
    event.data = json!({
        "text": "\u{0} ' \" € 😀", "big": u64::MAX, "small": -0.1, "null": null, "list": [[], {}],
    });
    event.metadata = Metadata {
        correlation_id: Some("order 1".into()),
        causation_id: Some("é".into()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    };
    let plain = NewEvent::new(Uuid::now_v7(), "Plain", Value::Null);
    let done = append(store, &stream, Expected::Any, &[event.clone(), plain.clone()]).await;
    let read = whole(store, &stream).await;
    for (recorded, given) in read.iter().zip([&event, &plain]) {
        assert_eq!(recorded.stream, stream);
        assert_eq!((recorded.id, &recorded.event_type), (given.id, &given.event_type));
        assert_eq!((recorded.revision, &recorded.data), (given.revision, &given.data));
        assert_eq!((&recorded.metadata, &recorded.privacy), (&given.metadata, &Privacy::None));
        assert_eq!(store.find(given.id).await.unwrap().as_ref(), Some(recorded));
    }
    assert_eq!((read[1].version, read[1].position), (done.version, done.position));
    assert_eq!(store.find(Uuid::now_v7()).await.unwrap(), None);
}

/// 1, 2, 3, over appends of one and of many.
async fn versions_count_from_one_without_gaps(store: &dyn EventStore) {
    let stream = stream();
    assert_eq!(whole(store, &stream).await, []);
    for (count, version) in [(1, 1), (3, 4), (2, 6)] {
        let done = append(store, &stream, Expected::Any, &events(count)).await;
        assert_eq!(done.version, Version::new(version));
        assert!(!done.repeated);
    }
    let read = whole(store, &stream).await;
    let versions: Vec<_> = read.iter().map(|event| event.version.get()).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
    assert!(read.is_sorted_by(|a, b| a.position < b.position), "in the order of all events too");
    assert!(read.is_sorted_by_key(|event| event.recorded_at));
}

/// A writer who expects another version is told which one there is, and wrote nothing.
async fn an_append_happens_as_expected_or_not_at_all(store: &dyn EventStore) {
    let stream = stream();
    let conflict = async |expected, actual| {
        let refused = try_append(store, &stream, expected, &events(2)).await;
        let Err(AppendError::Conflict { actual: found, .. }) = refused else {
            panic!("{expected:?} should not hold: {refused:?}")
        };
        assert_eq!(found, Version::new(actual));
    };
    conflict(Expected::Exactly(Version::new(1)), 0).await;
    conflict(Expected::Exists, 0).await;
    append(store, &stream, Expected::Exactly(Version::NONE), &events(1)).await;
    conflict(Expected::Exactly(Version::NONE), 1).await;
    conflict(Expected::Exactly(Version::new(2)), 1).await;
    append(store, &stream, Expected::Exists, &events(1)).await;
    append(store, &stream, Expected::Exactly(Version::new(2)), &events(1)).await;
    assert_eq!(whole(store, &stream).await.len(), 3);
}

/// Repeating an append, whatever it expects, answers what the first one did.
async fn the_same_append_happens_once(store: &dyn EventStore) {
    let stream = stream();
    let batch = events(3);
    append(store, &stream, Expected::Any, &events(1)).await;
    let first = append(store, &stream, Expected::Exactly(Version::new(1)), &batch).await;
    append(store, &stream, Expected::Any, &events(1)).await;
    let now = Expected::Exactly(Version::new(5));
    for expected in [Expected::Exactly(Version::new(1)), Expected::Any, now] {
        let again = append(store, &stream, expected, &batch).await;
        assert_eq!(again, Appended { repeated: true, ..first });
    }
    assert_eq!(whole(store, &stream).await.len(), 5);
}

/// An id that is taken by another append is refused, and nothing of the batch is written.
async fn an_id_belongs_to_one_event(store: &dyn EventStore) {
    let (here, there) = (stream(), stream());
    let batch = events(2);
    append(store, &here, Expected::Any, &batch).await;
    let fresh = event("Fresh");
    let reversed: Vec<_> = batch.iter().rev().cloned().collect();
    let partial = vec![fresh.clone(), batch[0].clone()];
    for (stream, batch) in [(&there, &batch), (&here, &reversed), (&here, &partial)] {
        let refused = try_append(store, stream, Expected::Any, batch).await;
        assert!(matches!(refused, Err(AppendError::IdTaken { .. })), "{refused:?}");
    }
    assert_eq!(store.find(fresh.id).await.unwrap(), None);
    assert_eq!(whole(store, &there).await, []);
}

/// Nothing, too much and what has no name is not appended.
async fn what_is_not_valid_is_refused(store: &dyn EventStore) {
    let refused = try_append(store, &stream(), Expected::Any, &[]).await;
    assert!(matches!(refused, Err(AppendError::Invalid(InvalidAppend::Count(0)))), "{refused:?}");
}

/// Writers that race for one stream each get a version of their own.
async fn of_many_writers_one_wins_each_version(store: &Arc<dyn EventStore>) {
    let stream = stream();
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let (store, stream) = (store.clone(), stream.clone());
        writers.spawn(async move {
            let (mut wins, mut version) = (0, Version::NONE);
            while wins < 5 {
                let expected = Expected::Exactly(version);
                match try_append(&*store, &stream, expected, &events(2)).await {
                    Ok(done) => {
                        assert_eq!(done.version, version.plus(2));
                        (wins, version) = (wins + 1, done.version);
                    }
                    Err(AppendError::Conflict { actual, .. }) => version = actual,
                    Err(error) => panic!("{error}: {error:?}"),
                }
            }
        });
    }
    writers.join_all().await;
    let read = whole(&**store, &stream).await;
    let versions: Vec<_> = read.iter().map(|event| event.version.get()).collect();
    assert_eq!(versions, (1..=80).collect::<Vec<_>>());
}

/// After a version, up to a version, up to a time, and no more than asked for.
async fn a_stream_is_read_in_pages_and_as_it_was(store: &dyn EventStore) {
    let stream = stream();
    append(store, &stream, Expected::Any, &events(3)).await;
    let early = whole(store, &stream).await[2].recorded_at;
    // The next event is later by more than a microsecond, which is as fine as a store keeps time.
    while time::OffsetDateTime::now_utc() <= early + Duration::from_millis(2) {
        tokio::task::yield_now().await;
    }
    append(store, &stream, Expected::Any, &events(2)).await;
    let read = async |after, until, limit| {
        let range = Range { after: Version::new(after), until };
        let events = store.read_stream(&stream, range, limit).await.unwrap();
        events.iter().map(|event| event.version.get()).collect::<Vec<_>>()
    };
    assert_eq!(read(0, Until::End, 2).await, [1, 2]);
    assert_eq!(read(2, Until::End, 2).await, [3, 4]);
    assert_eq!(read(5, Until::End, 2).await, [0; 0]);
    assert_eq!(read(1, Until::Version(Version::new(3)), 10).await, [2, 3]);
    assert_eq!(read(0, Until::Time(early), 10).await, [1, 2, 3]);
    assert_eq!(read(0, Until::Time(early - Duration::from_secs(60)), 10).await, [0; 0]);
}

/// Filtered or not, every reader sees one order, whole pages, and knows when it has seen all.
async fn all_streams_are_read_in_one_order(store: &dyn EventStore) {
    let start = end(store).await;
    let (one, two) = (stream(), stream());
    let kind = format!("Kind{}", Uuid::now_v7().simple());
    for stream in [&one, &two, &one] {
        append(store, stream, Expected::Any, &[event(&kind), event("Other")]).await;
    }
    let everything = Filter::default();
    let all = read_from(store, start, &everything, 100).await;
    let versions: Vec<_> = all.iter().map(|event| (&event.stream, event.version.get())).collect();
    assert_eq!(versions, [(&one, 1), (&one, 2), (&two, 1), (&two, 2), (&one, 3), (&one, 4)]);
    assert_eq!(read_from(store, start, &everything, 1).await, all, "in pages of one");
    let kinds = Filter { types: vec![kind], ..Filter::default() };
    let wanted: Vec<_> = all.iter().step_by(2).cloned().collect();
    assert_eq!(read_from(store, start, &kinds, 2).await, wanted);
    let nobody = Filter::category("nobody");
    assert_eq!(read_from(store, start, &nobody, 2).await, []);
    let page = store.read_all(start, &nobody, 100).await.unwrap();
    assert!(page.is_last && page.next >= all[5].position, "it has looked at all of it");
}

/// A reader that follows many writers sees each event once, in one order.
async fn no_reader_misses_an_event_while_many_write(store: &Arc<dyn EventStore>) {
    const WRITERS: usize = 8;
    const APPENDS: usize = 25;
    let start = end(&**store).await;
    let category = format!("race{}", Uuid::now_v7().simple());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, category) = (store.clone(), category.clone());
        writers.spawn(async move {
            let stream = StreamId::try_new(&category, writer).unwrap();
            for number in 0..APPENDS {
                append(&*store, &stream, Expected::Any, &events(1 + number % 3)).await;
            }
        });
    }
    let filter = Filter::category(&category);
    let wanted = WRITERS * (0..APPENDS).map(|number| 1 + number % 3).sum::<usize>();
    let following = async {
        let (mut seen, mut position) = (Vec::new(), start);
        while seen.len() < wanted {
            let page = store.read_all(position, &filter, 10).await.unwrap();
            seen.extend(page.events);
            position = page.next;
            tokio::task::yield_now().await;
        }
        seen
    };
    let seen = tokio::time::timeout(LIMIT * 3, following).await.expect("the reader misses none");
    writers.join_all().await;
    assert_eq!(read_from(&**store, start, &filter, 100).await, seen);
}

/// By name, by category, in pages.
async fn streams_are_listed_by_name(store: &dyn EventStore) {
    let category = format!("list{}", Uuid::now_v7().simple());
    let streams = [1, 2, 3].map(|id| StreamId::try_new(&category, id).unwrap());
    for stream in streams.iter().rev() {
        append(store, stream, Expected::Any, &events(2)).await;
    }
    let list = async |after, limit| {
        let streams = store.streams(Some(&category), after, limit).await.unwrap();
        assert!(streams.iter().all(|info| info.version == Version::new(2)));
        streams.into_iter().map(|info| info.stream).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10).await, streams);
    assert_eq!(list(None, 2).await, streams[..2]);
    assert_eq!(list(Some(&streams[1]), 10).await, streams[2..]);
    let any = store.streams(None, Some(&streams[0]), 1).await.unwrap();
    assert_eq!(any[0].stream, streams[1]);
}

/// An older snapshot comes late and changes nothing; one of another revision is not given.
async fn a_snapshot_is_replaced_by_a_newer_one_only(store: &dyn EventStore) {
    let stream = stream();
    append(store, &stream, Expected::Any, &events(5)).await;
    let snapshot = |version, revision| Snapshot {
        stream: stream.clone(),
        version: Version::new(version),
        revision,
        state: json!({ "version": version }),
    };
    assert_eq!(store.snapshot(&stream, 1).await.unwrap(), None);
    for version in [3, 5, 4] {
        store.save_snapshot(&snapshot(version, 1)).await.unwrap();
    }
    assert_eq!(store.snapshot(&stream, 1).await.unwrap(), Some(snapshot(5, 1)));
    assert_eq!(store.snapshot(&stream, 2).await.unwrap(), None);
    store.save_snapshot(&snapshot(2, 2)).await.unwrap();
    assert_eq!(store.snapshot(&stream, 2).await.unwrap(), Some(snapshot(2, 2)));
}

/// Two that go by one name do not set each other back.
async fn a_checkpoint_is_moved_by_who_knows_where_it_is(store: &dyn EventStore) {
    let name = format!("checkpoint-{}", Uuid::now_v7());
    let at = Position::new;
    assert_eq!(store.checkpoint(&name).await.unwrap(), Position::START);
    assert!(store.move_checkpoint(&name, at(0), at(5)).await.unwrap());
    assert!(!store.move_checkpoint(&name, at(0), at(3)).await.unwrap());
    assert!(!store.move_checkpoint(&name, at(4), at(9)).await.unwrap());
    assert!(store.move_checkpoint(&name, at(5), at(9)).await.unwrap());
    assert_eq!(store.checkpoint(&name).await.unwrap(), at(9));
}

/// Personal data are there until their subject is erased, and then nowhere in the store.
async fn what_is_personal_goes_with_its_subject(store: &dyn EventStore) {
    let stream = stream();
    let ada = SubjectId::try_new(format!("ada-{}", Uuid::now_v7())).unwrap();
    let bob = SubjectId::try_new(format!("bob-{}", Uuid::now_v7())).unwrap();
    assert!(!store.erase(&ada).await.unwrap(), "nothing is known of her yet");
    let batch = [about(&ada), about(&bob), about(&ada)];
    append(store, &stream, Expected::Any, &batch).await;
    let snapshot = Snapshot {
        stream: stream.clone(),
        version: Version::new(3),
        revision: 1,
        state: json!({ "email": "her address" }),
    };
    store.save_snapshot(&snapshot).await.unwrap();
    let read = whole(store, &stream).await;
    assert_eq!(read[0].data, json!({ "id": 1, "email": "her address" }));
    assert_eq!(read[0].privacy, Privacy::About(ada.clone()));

    assert!(store.erase(&ada).await.unwrap());
    assert!(store.erase(&ada).await.unwrap(), "again is fine");
    let read = whole(store, &stream).await;
    for (index, subject, data) in [
        (0, Privacy::Erased(ada.clone()), json!({ "id": 1 })),
        (1, Privacy::About(bob), json!({ "id": 1, "email": "her address" })),
        (2, Privacy::Erased(ada.clone()), json!({ "id": 1 })),
    ] {
        assert_eq!((&read[index].privacy, &read[index].data), (&subject, &data));
    }
    // Nor does a snapshot that was taken before and is kept late bring it back.
    assert_eq!(store.snapshot(&stream, 1).await.unwrap(), None);
    store.save_snapshot(&snapshot).await.unwrap();
    assert_eq!(store.snapshot(&stream, 1).await.unwrap(), None);
    let late = try_append(store, &stream, Expected::Any, &[about(&ada)]).await;
    assert!(matches!(late, Err(AppendError::Erased { .. })), "{late:?}");
}

/// A reader that is up to date waits, and is woken.
async fn who_waits_is_woken_by_an_append(store: &Arc<dyn EventStore>) {
    let start = end(&**store).await;
    let waiting = {
        let store = store.clone();
        async move {
            loop {
                store.wait(start).await;
                if !read_from(&*store, start, &Filter::default(), 10).await.is_empty() {
                    return;
                }
            }
        }
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(waiting);
    tokio::task::yield_now().await;
    append(&**store, &stream(), Expected::Any, &events(1)).await;
    tokio::time::timeout(LIMIT, tasks.join_next()).await.expect("it is woken");
    // And what was there before is not waited for.
    tokio::time::timeout(LIMIT, store.wait(start)).await.expect("it is there");
}

fn stream() -> StreamId {
    StreamId::try_new("conformance", Uuid::now_v7()).unwrap()
}

fn event(event_type: &str) -> NewEvent {
    NewEvent::new(Uuid::now_v7(), event_type, json!({}))
}

fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| event("Happened")).collect()
}

fn about(subject: &SubjectId) -> NewEvent {
    let members = json!({ "email": "her address" });
    let Value::Object(members) = members else { unreachable!("it is an object") };
    NewEvent {
        data: json!({ "id": 1 }),
        personal: Some(Personal { subject: subject.clone(), members }),
        ..event("Met")
    }
}

async fn try_append(
    store: &dyn EventStore,
    stream: &StreamId,
    expected: Expected,
    events: &[NewEvent],
) -> Result<Appended, AppendError> {
    store.append(&Append::new(stream.clone(), expected, events.to_vec())).await
}

async fn append(
    store: &dyn EventStore,
    stream: &StreamId,
    expected: Expected,
    events: &[NewEvent],
) -> Appended {
    try_append(store, stream, expected, events).await.unwrap()
}

async fn whole(store: &dyn EventStore, stream: &StreamId) -> Vec<Recorded> {
    store.read_stream(stream, Range::default(), 1000).await.unwrap()
}

/// The position after everything that is there now.
async fn end(store: &dyn EventStore) -> Position {
    let mut position = Position::START;
    loop {
        let page = store.read_all(position, &Filter::default(), 1000).await.unwrap();
        position = page.next;
        if page.is_last {
            return position;
        }
    }
}

async fn read_from(
    store: &dyn EventStore,
    start: Position,
    filter: &Filter,
    limit: u32,
) -> Vec<Recorded> {
    let (mut events, mut position) = (Vec::new(), start);
    loop {
        let page = store.read_all(position, filter, limit).await.unwrap();
        events.extend(page.events);
        position = page.next;
        if page.is_last {
            return events;
        }
    }
}
