//! The log: commits that overtake each other, and letting go of what is old.

use std::time::Duration;

use regatta_database::{Database, Engine, Options, Transaction};
use regatta_events::{
    BusError, CloudEvent, EventBus, GroupName, HistoryQuery, Redrive, Start, Subscription,
};
use regatta_events_sql::SqlBus;
use regatta_testkit::{Postgres, wait_until};

use crate::databases;

#[tokio::test]
async fn a_group_waits_for_an_earlier_number_that_commits_later() {
    let fresh = databases::postgres().await;
    let bus = SqlBus::new(&fresh.database);
    let mut deliveries = bus.subscribe(subscription()).await.unwrap();
    let mut slow = fresh.database.begin().await.unwrap();
    let Transaction::Postgres(postgres) = &mut slow else { panic!("is PostgreSQL") };
    let publish = "SELECT regatta_bus_publish_2(ARRAY['/shop'], ARRAY['slow'], ARRAY['placed'],
        ARRAY[NULL], ARRAY[$1])";
    let publish = sqlx::query(publish).bind(event("slow").to_json_string());
    publish.execute(&mut **postgres).await.unwrap();
    bus.publish(&[event("fast")]).await.unwrap();

    let early = tokio::time::timeout(Duration::from_millis(300), deliveries.next()).await;
    assert!(early.is_err(), "the fast one has the higher number: {early:?}");
    slow.commit().await.unwrap();
    for id in ["slow", "fast"] {
        let delivery = deliveries.next().await.unwrap();
        assert_eq!(delivery.event().id(), id);
        delivery.ack().await.unwrap();
    }
}

/// The publication is kept from its end by an event of its batch that somebody else is writing.
#[tokio::test]
async fn a_group_waits_for_a_publication_that_is_under_way() {
    let fresh = databases::postgres().await;
    let bus = SqlBus::new(&fresh.database);
    let mut deliveries = bus.subscribe(subscription()).await.unwrap();
    let mut other = fresh.database.begin().await.unwrap();
    let Transaction::Postgres(postgres) = &mut other else { panic!("is PostgreSQL") };
    let insert = "INSERT INTO regatta_bus_log (position, source, id, type, recorded_at, event)
        VALUES (-1, '/shop', 'held', 'placed', 0, '')";
    sqlx::query(insert).execute(&mut **postgres).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn({
        let bus = bus.clone();
        async move { bus.publish(&[event("slow"), event("held")]).await }
    });
    wait_until("the slow one to have its number", Duration::from_secs(20), async || {
        numbers_taken(&fresh.database).await == 2
    })
    .await;
    bus.publish(&[event("fast")]).await.unwrap();

    assert_eq!(ids(&bus).await, [""; 0], "the fast one has the higher number");
    let early = tokio::time::timeout(Duration::from_millis(300), deliveries.next()).await;
    assert!(early.is_err(), "the fast one has the higher number: {early:?}");
    other.rollback().await.unwrap();
    tasks.join_next().await.unwrap().unwrap().unwrap();
    for id in ["slow", "held", "fast"] {
        let delivery = deliveries.next().await.unwrap();
        assert_eq!(delivery.event().id(), id);
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_published_again_with_something_new_is_there_once() {
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        bus.publish(&[event("1"), event("2")]).await.unwrap();
        bus.publish(&[event("0"), event("2"), event("3"), event("3")]).await.unwrap();
        assert_eq!(ids(&bus).await, ["1", "2", "0", "3"]);
        bus.publish(&[event("4")]).await.unwrap();
        assert_eq!(ids(&bus).await, ["1", "2", "0", "3", "4"]);
    }
}

#[tokio::test]
async fn what_is_old_and_settled_is_let_go_and_nothing_else() {
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        let mut deliveries = bus.subscribe(subscription()).await.unwrap();
        for id in ["settled", "dead", "open"] {
            bus.publish(&[event(id)]).await.unwrap();
        }
        deliveries.next().await.unwrap().ack().await.unwrap();
        deliveries.next().await.unwrap().reject("no").await.unwrap();
        let held = deliveries.next().await.unwrap();
        bus.publish(&[event("new")]).await.unwrap();

        assert_eq!(bus.trim(Duration::from_secs(3600)).await.unwrap(), 0, "it is not old");
        make_old(&fresh.database).await;
        assert_eq!(bus.trim(Duration::from_secs(3600)).await.unwrap(), 1);
        assert_eq!(ids(&bus).await, ["dead", "open", "new"]);
        assert_eq!(bus.redrive(&group(), &Redrive::Oldest(1)).await.unwrap(), 1);
        for id in ["dead", "new"] {
            let delivery = deliveries.next().await.unwrap();
            assert_eq!(delivery.event().id(), id);
            delivery.ack().await.unwrap();
        }
        held.ack().await.unwrap();
        assert_eq!(bus.trim(Duration::from_secs(3600)).await.unwrap(), 3);
        bus.publish(&[event("after")]).await.unwrap();
        let delivery = deliveries.next().await.unwrap();
        assert_eq!(delivery.event().id(), "after", "numbers go on after an empty log");
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn who_subscribes_lets_go_of_all_that_is_old_however_much_it_is() {
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        let events: Vec<_> = (0..5000).map(|id| event(&id.to_string())).collect();
        bus.publish(&events).await.unwrap();
        for _ in 0..8 {
            make_old(&fresh.database).await;
        }
        bus.publish(&[event("new")]).await.unwrap();
        let mut asks = subscription();
        asks.start = Start::Latest;
        let _deliveries = bus.subscribe(asks).await.unwrap();
        wait_until("old events to be gone", Duration::from_secs(60), async || {
            ids(&bus).await == ["new"]
        })
        .await;
    }
}

#[tokio::test]
async fn a_forgotten_group_keeps_nothing() {
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        bus.subscribe(subscription()).await.unwrap();
        bus.publish(&[event("1")]).await.unwrap();
        make_old(&fresh.database).await;
        assert_eq!(bus.trim(Duration::from_secs(3600)).await.unwrap(), 0, "the group needs it");
        assert!(bus.forget(&group()).await.unwrap());
        assert!(!bus.forget(&group()).await.unwrap());
        assert_eq!(bus.trim(Duration::from_secs(3600)).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_batch_of_many_is_taken_in_order_and_what_is_there_stays() {
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        let events: Vec<_> = (0..1001).map(|number| event(&number.to_string())).collect();
        bus.publish(&[]).await.unwrap();
        bus.publish(&events[500..501]).await.unwrap();
        bus.publish(&events).await.unwrap();
        // Again, as after an answer that was lost.
        bus.publish(&events).await.unwrap();
        let query = HistoryQuery { limit: 10_000, ..HistoryQuery::default() };
        let logged = bus.history(&query).await.unwrap();
        let found: Vec<_> = logged.iter().map(|logged| logged.event.id()).collect();
        let rest = (0..1001).filter(|number| *number != 500);
        let wanted: Vec<_> = std::iter::once(500).chain(rest).map(|it| it.to_string()).collect();
        assert_eq!(found, wanted);
    }
}

#[tokio::test]
async fn a_batch_for_which_the_disk_has_no_room_is_absent_whole() {
    let fresh = databases::sqlite().await;
    let bus = SqlBus::new(&fresh.database);
    let Engine::Sqlite(sqlite) = fresh.database.engine() else { panic!("is a file") };
    let batch = |name: &str, events: usize| -> Vec<_> {
        let event = |number| CloudEvent::try_new(format!("{name}-{number}"), "/a", "b").unwrap();
        (0..events).map(|number| event(number).with_json("x".repeat(2000).into())).collect()
    };
    bus.publish(&batch("small", 1)).await.unwrap();
    // Of one statement, and of several.
    for events in [100, 500] {
        sqlx::query("PRAGMA max_page_count = 60").execute(sqlite.writer()).await.unwrap();
        let batch = batch(&events.to_string(), events);
        let refused = bus.publish(&batch).await.unwrap_err();
        assert!(refused.is_retryable(), "{refused:?}");
        assert_eq!(ids(&bus).await, ["small-0"]);
        sqlx::query("PRAGMA max_page_count = 100000").execute(sqlite.writer()).await.unwrap();
        bus.publish(&batch).await.unwrap();
        let query = HistoryQuery { limit: 10_000, ..HistoryQuery::default() };
        assert_eq!(bus.history(&query).await.unwrap().len(), events + 1);
        sqlx::query("DELETE FROM regatta_bus_log WHERE id <> 'small-0'")
            .execute(sqlite.writer())
            .await
            .unwrap();
        sqlx::query("VACUUM").execute(sqlite.writer()).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_events_and_loses_none_that_it_took() {
    let fresh = databases::sqlite().await;
    let bus = SqlBus::new(&fresh.database);
    let mut deliveries = bus.subscribe(beginning("mail")).await.unwrap();
    let Engine::Sqlite(sqlite) = fresh.database.engine() else { panic!("is a file") };
    sqlx::query("PRAGMA max_page_count = 60").execute(sqlite.writer()).await.unwrap();
    let large = |number: usize| {
        let event = CloudEvent::try_new(number.to_string(), "/a", "b").unwrap();
        event.with_json("x".repeat(3000).into())
    };
    let mut taken = 0;
    let refused = loop {
        match bus.publish(&[large(taken)]).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.is_retryable() && taken > 3, "{taken} {refused:?}");
    assert_eq!(ids(&bus).await.len(), taken);
    sqlx::query("PRAGMA max_page_count = 100000").execute(sqlite.writer()).await.unwrap();
    bus.publish(&[large(taken)]).await.unwrap();
    for number in 0..=taken {
        let delivery = deliveries.next().await.unwrap();
        assert_eq!(delivery.event().id(), number.to_string());
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn who_only_looks_makes_no_tables_and_is_told_that_there_is_no_bus() {
    let folder = tempfile::TempDir::new().unwrap();
    let sqlite = format!("sqlite://{}/other.db", folder.path().display());
    let postgres = Postgres::shared().await.database().await.unwrap();
    for url in [sqlite, postgres] {
        let database = Database::open(&url, &Options::default()).unwrap();
        let bus = SqlBus::existing(&database);
        let absent = bus.history(&HistoryQuery::default()).await;
        assert!(matches!(absent, Err(BusError::Absent)), "{absent:?}");
        assert!(matches!(bus.groups().await, Err(BusError::Absent)));
        assert!(matches!(bus.publish(&[event("1")]).await, Err(BusError::Absent)));
        // Then a service comes.
        SqlBus::migrating(&database).publish(&[event("1")]).await.unwrap();
        assert_eq!(ids(&bus).await, ["1"]);
    }
}

fn beginning(group: &str) -> Subscription {
    let mut asks = Subscription::new(GroupName::try_new(group).unwrap());
    asks.start = Start::Beginning;
    asks
}

async fn make_old(database: &regatta_database::Database) {
    let update = "UPDATE regatta_bus_log SET recorded_at = recorded_at - 86400000000";
    match database.engine() {
        Engine::Sqlite(sqlite) => {
            sqlx::query(update).execute(sqlite.writer()).await.unwrap();
        }
        Engine::Postgres(postgres) => {
            sqlx::query(update).execute(postgres.pool()).await.unwrap();
        }
    }
}

async fn numbers_taken(database: &Database) -> i64 {
    let Engine::Postgres(postgres) = database.engine() else { panic!("is PostgreSQL") };
    let taken = sqlx::query_scalar("SELECT last_value FROM regatta_bus_position");
    taken.fetch_one(postgres.pool()).await.unwrap()
}

async fn ids(bus: &SqlBus) -> Vec<String> {
    let logged = bus.history(&HistoryQuery::default()).await.unwrap();
    logged.iter().map(|logged| logged.event.id().to_owned()).collect()
}

fn group() -> GroupName {
    GroupName::try_new("group").unwrap()
}

fn subscription() -> Subscription {
    let mut asks = Subscription::new(group());
    asks.start = Start::Beginning;
    asks
}

fn event(id: &str) -> CloudEvent {
    CloudEvent::try_new(id, "/shop", "placed").unwrap()
}
