//! Many appends at once, which a store may write together.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{append, events, stream, whole};
use crate::{Append, AppendError, Appended, EventStore, Expected, NewEvent, StreamId, Version};

/// How many of each kind.
const CROWD: usize = 16;

type Outcome = Result<Appended, AppendError>;

/// Those that are refused harm no other, and each gets its own answer: one of two that expect the same
/// version is written, an append that is sent twice happens once, a foreign id is refused.
pub(super) async fn each_of_many_appends_at_once_is_judged_by_itself(store: &Arc<dyn EventStore>) {
    let taken = events(1);
    append(&**store, &stream(), Expected::Any, &taken).await;
    let none = Expected::Exactly(Version::NONE);
    let mut crowd = JoinSet::new();
    let mut streams = Vec::new();
    for kind in 0..CROWD {
        let (raced, twice, thief, late) = (stream(), stream(), stream(), stream());
        let same = events(3);
        let mut stolen = events(1);
        stolen.extend(taken.clone());
        for (number, (stream, expected, events)) in [
            (&raced, none, events(1 + kind % 3)),
            (&raced, none, events(2)),
            (&twice, none, same.clone()),
            (&twice, Expected::Any, same),
            (&thief, Expected::Any, stolen),
            (&late, Expected::Exists, events(1)),
        ]
        .into_iter()
        .enumerate()
        {
            let task = send(store.clone(), stream.clone(), expected, events);
            crowd.spawn(async move { (kind, number, task.await) });
        }
        streams.push([raced, twice, thief, late]);
    }
    let mut outcomes: Vec<[Option<Outcome>; 6]> = (0..CROWD).map(|_| Default::default()).collect();
    for (kind, number, outcome) in crowd.join_all().await {
        outcomes[kind][number] = Some(outcome);
    }
    for ([raced, twice, thief, late], outcomes) in streams.iter().zip(outcomes) {
        let [one, two, first, second, stolen, refused] = outcomes.map(|outcome| outcome.unwrap());
        let won = match (one, two) {
            (Ok(won), Err(AppendError::Conflict { .. }))
            | (Err(AppendError::Conflict { .. }), Ok(won)) => won,
            both => panic!("one of them wins: {both:?}"),
        };
        let read = whole(&**store, raced).await;
        let last = read.last().map(|event| (event.version, event.position));
        assert_eq!(last, Some((won.version, won.position)));
        // Who expects nothing is told what happened; who expects version 0 may be told that it is gone.
        let second = second.unwrap();
        match first {
            Ok(first) => {
                assert_eq!(first.position, second.position);
                assert!(first.repeated != second.repeated, "{first:?} {second:?}");
            }
            Err(AppendError::Conflict { .. }) => (),
            Err(error) => panic!("{error}: {error:?}"),
        }
        assert_eq!(whole(&**store, twice).await.len(), 3);
        assert!(matches!(stolen, Err(AppendError::IdTaken { .. })), "{stolen:?}");
        assert!(matches!(refused, Err(AppendError::Conflict { .. })), "{refused:?}");
        assert_eq!(whole(&**store, thief).await, []);
        assert_eq!(whole(&**store, late).await, []);
    }
}

/// Callers who go away half-way: the others are answered, and what was given up can be sent again.
pub(super) async fn an_append_that_is_given_up_harms_no_other(store: &Arc<dyn EventStore>) {
    let (mut kept, mut dropped) = (JoinSet::new(), Vec::new());
    for number in 0..CROWD * 2 {
        let (store, stream, batch) = (store.clone(), stream(), events(2));
        let again = (stream.clone(), batch.clone());
        let sending = send(store, stream.clone(), Expected::Any, batch);
        if number % 2 == 0 {
            let mut sent = JoinSet::new();
            sent.spawn(sending);
            dropped.push((sent, again));
        } else {
            kept.spawn(async move { (stream, sending.await.unwrap()) });
        }
        if number % 5 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for (sent, _) in &mut dropped {
        sent.abort_all();
        tokio::task::yield_now().await;
    }
    for (stream, done) in kept.join_all().await {
        assert_eq!((done.version, done.repeated), (Version::new(2), false));
        assert_eq!(whole(&**store, &stream).await.len(), 2);
    }
    for (mut sent, (stream, batch)) in dropped {
        while sent.join_next().await.is_some() {}
        append(&**store, &stream, Expected::Any, &batch).await;
        assert_eq!(whole(&**store, &stream).await.len(), 2);
    }
}

async fn send(
    store: Arc<dyn EventStore>,
    stream: StreamId,
    expected: Expected,
    events: Vec<NewEvent>,
) -> Outcome {
    store.append(&Append::new(stream, expected, events)).await
}
