//! Commits that overtake each other, and the reader that must not miss one.

use std::time::Duration;

use regatta_database::{Database, Engine, Options};
use regatta_events::CloudEvent;
use regatta_eventstore::{
    Append, EventStore, Expected, Filter, NewEvent, Outbox, Position, StreamId, Until, Version,
};
use regatta_eventstore_sql::SqlStore;
use regatta_testkit::wait_until;
use serde_json::json;
use uuid::Uuid;

use crate::databases;

#[tokio::test]
async fn a_reader_waits_for_an_earlier_number_that_commits_later() {
    let fresh = databases::postgres().await;
    let store = SqlStore::new(&fresh.database);
    let mut slow = fresh.database.begin().await.unwrap();
    store.append_in(&mut slow, &append("slow")).await.unwrap();
    store.append(&append("fast")).await.unwrap();

    let page = store.read_all(Position::START, &Filter::default(), 10).await.unwrap();
    assert_eq!(page.events, [], "the fast one has the higher number");
    let stuck = page.next;
    slow.commit().await.unwrap();
    let page = store.read_all(stuck, &Filter::default(), 10).await.unwrap();
    let streams: Vec<_> = page.events.iter().map(|event| event.stream.id()).collect();
    assert_eq!(streams, ["slow", "fast"]);
}

/// The append is kept from its end by an id that somebody else is writing.
#[tokio::test]
async fn a_reader_waits_for_an_append_that_is_under_way() {
    let fresh = databases::postgres().await;
    let store = SqlStore::new(&fresh.database);
    let held = placed();
    let mut other = fresh.database.begin().await.unwrap();
    let regatta_database::Transaction::Postgres(postgres) = &mut other else { panic!() };
    let insert = "INSERT INTO regatta_events
        VALUES (-1, 'other-1', 'other', 1, $1::UUID, 'T', 1, '{}', '{}', NULL, NULL, now())";
    sqlx::query(insert).bind(held.id.to_string()).execute(&mut **postgres).await.unwrap();
    let mut slow = new("slow");
    slow.events.push(held);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn({
        let store = store.clone();
        async move { store.append(&slow).await }
    });
    let Engine::Postgres(postgres) = fresh.database.engine() else { panic!() };
    wait_until("the slow one to have its numbers", Duration::from_secs(20), async || {
        let taken = "SELECT last_value FROM regatta_events_position";
        let taken: i64 = sqlx::query_scalar(taken).fetch_one(postgres.pool()).await.unwrap();
        taken == 2
    })
    .await;
    store.append(&new("fast")).await.unwrap();

    let page = store.read_all(Position::START, &Filter::default(), 10).await.unwrap();
    assert_eq!(page.events, [], "the fast one has the higher number");
    other.rollback().await.unwrap();
    let done = tasks.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(done.version.get(), 2);
    let page = store.read_all(page.next, &Filter::default(), 10).await.unwrap();
    let streams: Vec<_> = page.events.iter().map(|event| event.stream.id()).collect();
    assert_eq!(streams, ["slow", "slow", "fast"]);
}

#[tokio::test]
async fn a_writer_that_gives_up_holds_nobody_up() {
    let fresh = databases::postgres().await;
    let store = SqlStore::new(&fresh.database);
    let mut slow = fresh.database.begin().await.unwrap();
    store.append_in(&mut slow, &append("slow")).await.unwrap();
    store.append(&append("fast")).await.unwrap();
    slow.rollback().await.unwrap();
    let page = store.read_all(Position::START, &Filter::default(), 10).await.unwrap();
    assert_eq!(page.events.len(), 1);
    assert!(page.is_last);
}

#[tokio::test]
async fn a_long_transaction_that_appends_nothing_holds_nobody_up() {
    let fresh = databases::postgres().await;
    let store = SqlStore::new(&fresh.database);
    let mut report = fresh.database.begin().await.unwrap();
    let regatta_database::Transaction::Postgres(postgres) = &mut report else {
        panic!("is PostgreSQL")
    };
    sqlx::query("CREATE TABLE report (id INT)").execute(&mut **postgres).await.unwrap();
    store.append(&append("fast")).await.unwrap();
    let page = store.read_all(Position::START, &Filter::default(), 10).await.unwrap();
    assert_eq!(page.events.len(), 1);
}

#[tokio::test]
async fn time_never_goes_back_within_a_stream() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        store.append(&new("clock")).await.unwrap();
        set_last_time_to_tomorrow(&fresh.database).await;
        for expected in [Expected::Any, Expected::Exactly(Version::new(2))] {
            store.append(&Append { expected, ..append("clock") }).await.unwrap();
        }
        let stream = StreamId::try_new("order", "clock").unwrap();
        let range = regatta_eventstore::Range { until: Until::End, ..Default::default() };
        let events = store.read_stream(&stream, range, 10).await.unwrap();
        let times: Vec<_> = events.iter().map(|event| event.recorded_at).collect();
        assert_eq!(times, [times[0]; 3]);
    }
}

/// A plan that reads the whole table is the cheap one while it is small, and is kept while it grows:
/// a batch of ten took ten times what it had to.
#[tokio::test]
async fn no_append_to_a_server_reads_the_whole_table_however_small_it_was_at_first() {
    let fresh = databases::postgres().await;
    let store = SqlStore::new(&fresh.database);
    for number in 0..20 {
        for expected in [Expected::Any, Expected::Exists, Expected::Exactly(Version::NONE)] {
            let mut append = append(&(number % 7).to_string());
            append.expected = expected;
            append.events.extend((0..9).map(|_| placed()));
            // Some are refused, which is looked for in the same way.
            let _ = store.append(&append).await;
        }
    }
    // What a connection has counted is known at its end at the latest.
    fresh.database.close().await;
    let other = databases::open(&fresh.url).await;
    let Engine::Postgres(postgres) = other.engine() else { panic!() };
    // To build an index is to read the table once, when it was made.
    let select = "SELECT n_tup_ins, seq_scan, (SELECT count(*) FROM pg_indexes
            WHERE tablename = 'regatta_events')
        FROM pg_stat_user_tables WHERE relname = 'regatta_events'";
    let mut counted = (0, 0, 0);
    wait_until("the server to count", Duration::from_secs(20), async || {
        counted = sqlx::query_as(select).fetch_one(postgres.pool()).await.unwrap();
        counted.0 >= 200_i64
    })
    .await;
    let (_, read, indexes): (i64, i64, i64) = counted;
    assert_eq!(read, indexes);
}

/// As before, of a table that was counted while it held one event, and never again.
#[tokio::test]
async fn no_append_goes_on_to_read_a_whole_table_that_was_counted_when_it_was_small() {
    let fresh = databases::postgres().await;
    let mut options = Options::default();
    // One connection: it has the plans, and tells what it counted when it is asked to.
    options.max_connections = 1;
    let database = Database::open(&fresh.url, &options).unwrap();
    let store = SqlStore::new(&database);
    let Engine::Postgres(postgres) = database.engine() else { panic!() };
    store.append(&new("first")).await.unwrap();
    sqlx::query("ANALYZE regatta_events").execute(postgres.pool()).await.unwrap();
    let append_many = async |id: &str| {
        for number in 0..60 {
            let mut append = append(id);
            append.expected = Expected::Exactly(Version::new(number * 10));
            append.events.extend((0..9).map(|_| placed()));
            store.append(&append).await.unwrap();
        }
        let flush = "SELECT pg_stat_force_next_flush()::TEXT";
        sqlx::query(flush).execute(postgres.pool()).await.unwrap();
        let read = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'regatta_events'";
        let read: i64 = sqlx::query_scalar(read).fetch_one(postgres.pool()).await.unwrap();
        read
    };
    let small = append_many("a").await;
    assert_eq!(append_many("b").await, small);
}

#[tokio::test]
async fn messages_of_an_append_to_a_known_version_wait_in_their_order_and_of_a_refused_one_none() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        let message = |id: &str| CloudEvent::try_new(id, "/shop", "order.placed").unwrap();
        let mut told = new("a");
        told.outbox = ["3", "1", "2"].map(message).to_vec();
        store.append(&told).await.unwrap();
        let mut late = new("a");
        late.outbox = vec![message("4")];
        store.append(&late).await.unwrap_err();
        store.append(&told).await.unwrap();
        let waiting = store.claim(Uuid::new_v4(), Duration::from_secs(10), 10).await.unwrap();
        let waiting = waiting.unwrap();
        let ids: Vec<_> = waiting.iter().map(|queued| queued.event.id()).collect();
        assert_eq!(ids, ["3", "1", "2"]);
    }
}

/// As a clock that was set back leaves it.
async fn set_last_time_to_tomorrow(database: &Database) {
    match database.engine() {
        Engine::Sqlite(sqlite) => {
            let update = "UPDATE regatta_events SET recorded_at = recorded_at + 86400000000";
            sqlx::query(update).execute(sqlite.writer()).await.unwrap();
        }
        Engine::Postgres(postgres) => {
            let update = "UPDATE regatta_events SET recorded_at = recorded_at + interval '1 day'";
            sqlx::query(update).execute(postgres.pool()).await.unwrap();
        }
    }
}

fn append(id: &str) -> Append {
    Append::new(StreamId::try_new("order", id).unwrap(), Expected::Any, vec![placed()])
}

/// To a stream that does not exist.
fn new(id: &str) -> Append {
    Append { expected: Expected::Exactly(Version::NONE), ..append(id) }
}

fn placed() -> NewEvent {
    NewEvent::new(Uuid::now_v7(), "Placed", json!({}))
}
