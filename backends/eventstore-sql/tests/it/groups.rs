//! Appends to a file that wait for one another, and what each of them gets.

use std::collections::BTreeSet;

use regatta_database::Engine;
use regatta_eventstore::{
    Append, AppendError, Appended, EventStore, Expected, Filter, NewEvent, Position, Range,
    StoreError, StreamId,
};
use regatta_eventstore_sql::SqlStore;
use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::databases::{self, Fresh};

/// Appends at once.
const CROWD: u64 = 20;

#[tokio::test]
async fn those_that_wait_for_the_writer_are_committed_together() {
    let fresh = databases::sqlite().await;
    let store = SqlStore::new(&fresh.database);
    let done = at_once(&fresh, &store, (0..CROWD).map(|id| append(id, "Placed")).collect()).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    let page = store.read_all(Position::START, &Filter::default(), 100).await.unwrap();
    let times: BTreeSet<_> = page.events.iter().map(|event| event.recorded_at).collect();
    assert_eq!(page.events.len(), CROWD as usize);
    // The first one came when nobody wrote; the others are recorded by one look at the clock.
    assert!(times.len() <= 2, "{times:?}");
    for (done, event) in done.iter().zip(&page.events) {
        assert_eq!(done.as_ref().unwrap().position, event.position);
    }
}

#[tokio::test]
async fn messages_of_a_group_go_with_their_appends_in_order() {
    let fresh = databases::sqlite().await;
    let store = SqlStore::new(&fresh.database);
    let with_message = |id: u64| {
        // Every third is refused, and its message with it.
        let expected = if id % 3 == 2 { Expected::Exists } else { Expected::Any };
        let message = regatta_events::CloudEvent::try_new(id.to_string(), "/shop", "placed");
        Append { expected, outbox: vec![message.unwrap()], ..append(id, "Placed") }
    };
    let done = at_once(&fresh, &store, (0..CROWD).map(with_message).collect()).await;
    let written: Vec<_> = (0..CROWD).filter(|id| done[*id as usize].is_ok()).collect();
    assert_eq!(written, (0..CROWD).filter(|id| id % 3 != 2).collect::<Vec<_>>());
    let Engine::Sqlite(sqlite) = fresh.database.engine() else { panic!("is SQLite") };
    let select = "SELECT CAST(event ->> 'id' AS INTEGER) FROM regatta_outbox ORDER BY number";
    let messages: Vec<i64> = sqlx::query_scalar(select).fetch_all(sqlite.reader()).await.unwrap();
    assert_eq!(messages, written.iter().map(|id| *id as i64).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_that_the_database_refuses_takes_nobody_along() {
    let fresh = databases::sqlite().await;
    let store = SqlStore::new(&fresh.database);
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON regatta_events WHEN NEW.type = 'Poison'
        BEGIN SELECT RAISE(ABORT, 'poison'); END";
    execute(&fresh, poison).await;
    let kind = |id| if id == 7 { "Poison" } else { "Placed" };
    let appends = (0..CROWD).map(|id| append(id, kind(id))).collect();
    let done = at_once(&fresh, &store, appends).await;
    for (id, done) in (0..CROWD).zip(&done) {
        match done {
            Ok(done) => assert!(id != 7 && !done.repeated),
            Err(AppendError::Store(StoreError::Broken(_))) => assert_eq!(id, 7),
            Err(error) => panic!("{error}: {error:?}"),
        }
    }
    assert_eq!(whole(&store).await, CROWD as usize - 1);
}

#[tokio::test]
async fn a_full_disk_acknowledges_none_of_a_group_and_all_can_be_sent_again() {
    let fresh = databases::sqlite().await;
    let store = SqlStore::new(&fresh.database);
    // Room for the first one, and not for the others.
    execute(&fresh, "PRAGMA max_page_count = 60").await;
    let large = |id| {
        let mut append = append(id, "Placed");
        append.events[0].data = json!({ "note": "x".repeat(30_000) });
        append
    };
    let appends: Vec<_> = (0..CROWD).map(large).collect();
    let done = at_once(&fresh, &store, appends.clone()).await;
    let acknowledged = done.iter().filter(|done| done.is_ok()).count();
    assert!(acknowledged < 2, "{acknowledged}");
    for refused in done.iter().filter_map(|done| done.as_ref().err()) {
        assert!(
            matches!(refused, AppendError::Store(error) if error.is_retryable()),
            "{refused:?}"
        );
    }
    assert_eq!(whole(&store).await, acknowledged, "what is refused is not there");
    execute(&fresh, "PRAGMA max_page_count = 100000").await;
    let again = at_once(&fresh, &store, appends).await;
    assert!(again.iter().all(Result::is_ok), "{again:?}");
    assert_eq!(whole(&store).await, CROWD as usize);
}

#[tokio::test]
async fn who_waits_and_gives_up_is_left_out_and_the_turn_goes_on() {
    let fresh = databases::sqlite().await;
    let store = SqlStore::new(&fresh.database);
    let held = fresh.database.begin().await.unwrap();
    let mut gone = JoinSet::new();
    for id in 0..CROWD {
        let store = store.clone();
        gone.spawn(async move { store.append(&append(id, "Placed")).await });
    }
    tokio::task::yield_now().await;
    gone.shutdown().await;
    held.rollback().await.unwrap();
    let done = store.append(&append(CROWD, "Placed")).await.unwrap();
    assert_eq!(done.version.get(), 1);
    assert_eq!(whole(&store).await, 1, "nobody wrote for those who had gone");
}

#[test]
fn a_runtime_that_ends_lets_a_store_be_used_on_the_next_one() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let fresh = first.block_on(databases::sqlite());
    let store = SqlStore::new(&fresh.database);
    first.block_on(async {
        let held = fresh.database.begin().await.unwrap();
        for id in 0..CROWD {
            let store = store.clone();
            let mut abandoned = JoinSet::new();
            abandoned.spawn(async move { store.append(&append(id, "Placed")).await });
            abandoned.detach_all();
        }
        tokio::task::yield_now().await;
        drop(held);
    });
    first.shutdown_timeout(std::time::Duration::from_secs(10));
    let url = fresh.url.clone();
    second.block_on(async {
        let other = SqlStore::new(&databases::open(&url).await);
        other.append(&append(CROWD, "Placed")).await.unwrap();
        // This one's pool may have ended with its runtime; whatever it says, it says something.
        let again = append(CROWD + 1, "Placed");
        let limit = std::time::Duration::from_secs(20);
        let answered = tokio::time::timeout(limit, store.append(&again)).await;
        assert!(answered.is_ok(), "an append waits for a turn that nobody gives back");
    });
}

/// Sends all while the file is held by a transaction, then lets them go; answers in their order.
async fn at_once(
    fresh: &Fresh,
    store: &SqlStore,
    appends: Vec<Append>,
) -> Vec<Result<Appended, AppendError>> {
    let held = fresh.database.begin().await.unwrap();
    let mut crowd = JoinSet::new();
    for (number, append) in appends.into_iter().enumerate() {
        let store = store.clone();
        crowd.spawn(async move { (number, store.append(&append).await) });
    }
    tokio::task::yield_now().await;
    held.rollback().await.unwrap();
    let mut done = crowd.join_all().await;
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, done)| done).collect()
}

/// How many events there are, in streams that have each version from 1 on.
async fn whole(store: &SqlStore) -> usize {
    let mut events = 0;
    for info in store.streams(None, None, 1000).await.unwrap() {
        let read = store.read_stream(&info.stream, Range::default(), 1000).await.unwrap();
        assert!((1..).zip(&read).all(|(version, event)| event.version.get() == version));
        events += read.len();
    }
    events
}

async fn execute(fresh: &Fresh, statement: &str) {
    let Engine::Sqlite(sqlite) = fresh.database.engine() else { panic!("is SQLite") };
    sqlx::query(AssertSqlSafe(statement)).execute(sqlite.writer()).await.unwrap();
}

fn append(id: u64, event_type: &str) -> Append {
    let event = NewEvent::new(Uuid::now_v7(), event_type, json!({}));
    Append::new(StreamId::try_new("order", id).unwrap(), Expected::Any, vec![event])
}
