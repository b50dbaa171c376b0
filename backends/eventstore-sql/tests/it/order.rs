//! Commits that overtake each other, and the reader that must not miss one.

use std::time::Duration;

use regatta_database::Database;
use regatta_eventstore::{
    Append, EventStore, Expected, Filter, NewEvent, Position, StreamId, Until, Version,
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
        store.append(&append("clock")).await.unwrap();
        set_last_time_to_tomorrow(&fresh.database).await;
        store.append(&append("clock")).await.unwrap();
        let stream = StreamId::try_new("order", "clock").unwrap();
        let range = regatta_eventstore::Range { until: Until::End, ..Default::default() };
        let events = store.read_stream(&stream, range, 10).await.unwrap();
        assert_eq!(events[0].recorded_at, events[1].recorded_at);
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
    let regatta_database::Engine::Postgres(postgres) = other.engine() else { panic!() };
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

/// As a clock that was set back leaves it.
async fn set_last_time_to_tomorrow(database: &Database) {
    match database.engine() {
        regatta_database::Engine::Sqlite(sqlite) => {
            let update = "UPDATE regatta_events SET recorded_at = recorded_at + 86400000000";
            sqlx::query(update).execute(sqlite.writer()).await.unwrap();
        }
        regatta_database::Engine::Postgres(postgres) => {
            let update = "UPDATE regatta_events SET recorded_at = recorded_at + interval '1 day'";
            sqlx::query(update).execute(postgres.pool()).await.unwrap();
        }
    }
}

fn append(id: &str) -> Append {
    Append::new(StreamId::try_new("order", id).unwrap(), Expected::Any, vec![placed()])
}

fn placed() -> NewEvent {
    NewEvent::new(Uuid::now_v7(), "Placed", json!({}))
}
