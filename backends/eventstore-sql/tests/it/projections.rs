//! A projection: view and checkpoint together, rebuilt beside the old one, effects once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regatta_database::{Database, Engine, Transaction};
use regatta_events::CloudEvent;
use regatta_eventstore::{
    Append, Effects, EventStore, Expected, Filter, NewEvent, Outbox, Overtaken, Projection,
    ProjectionError, ProjectionStore, Projector, Recorded, Stage, StreamId,
};
use regatta_eventstore_sql::SqlStore;
use regatta_testkit::wait_until;
use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::databases;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_first_build_takes_what_there_is_and_has_effects_from_then_on() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        append(&store, 250).await;
        assert_eq!(store.active_generation("totals").await.unwrap(), None);
        let projector = projector(&store, Totals::of(1));
        projector.catch_up().await.unwrap();
        assert_eq!(store.active_generation("totals").await.unwrap(), Some(1));
        assert_eq!(total(&fresh.database, 1).await, 250);
        assert_eq!(store.backlog().await.unwrap().0, 0, "history has no effects");
        append(&store, 3).await;
        projector.catch_up().await.unwrap();
        assert_eq!(total(&fresh.database, 1).await, 253);
        assert_eq!(store.backlog().await.unwrap().0, 3);
    }
}

#[tokio::test]
async fn a_failure_undoes_view_checkpoint_and_effects_together() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        projector(&store, Totals::of(1)).catch_up().await.unwrap();
        append(&store, 5).await;
        let failing = projector(&store, Totals { fails_at: Some(4), ..Totals::of(1) });
        failing.catch_up().await.unwrap_err();
        assert_eq!(total(&fresh.database, 1).await, 0);
        assert_eq!(store.backlog().await.unwrap().0, 0);
        projector(&store, Totals::of(1)).catch_up().await.unwrap();
        assert_eq!(total(&fresh.database, 1).await, 5);
        assert_eq!(store.backlog().await.unwrap().0, 5);
    }
}

#[tokio::test]
async fn a_new_revision_is_built_beside_and_takes_over_with_each_effect_once() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        let old = projector(&store, Totals::of(1));
        old.catch_up().await.unwrap();
        append(&store, 120).await;
        old.catch_up().await.unwrap();
        // The old one lags: the new one stops where it is and takes over there.
        append(&store, 30).await;
        let new = projector(&store, Totals { factor: 10, ..Totals::of(2) });
        let builds = new.catch_up().await.unwrap();
        let stages: Vec<_> = builds.iter().map(|build| (build.generation, build.stage)).collect();
        assert_eq!(stages, [(1, Stage::Retired), (2, Stage::Active)]);
        assert_eq!(total(&fresh.database, 1).await, 120, "kept until the next one takes over");
        assert_eq!(total(&fresh.database, 2).await, 1500);
        assert_eq!(store.backlog().await.unwrap().0, 150);
        // The old release, still running, rests.
        append(&store, 1).await;
        old.catch_up().await.unwrap();
        assert_eq!(total(&fresh.database, 1).await, 120);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_under_way_while_many_write_ends_equal_and_with_each_effect_once() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
        projector(&store, Totals::of(1)).catch_up().await.unwrap();
        for _ in 0..2 {
            let own = SqlStore::new(&databases::open(&fresh.url).await);
            tasks.spawn(projector(&own, Totals::of(1)).run(drain.clone()));
        }
        append(&store, 100).await;
        assert_eq!(store.request_rebuild("nothing", None).await.unwrap(), None);
        assert_eq!(store.request_rebuild("totals", None).await.unwrap(), Some(2));
        for _ in 0..20 {
            append(&store, 10).await;
        }
        wait_until("the rebuild to take over", LIMIT, async || {
            store.active_generation("totals").await.unwrap() == Some(2)
                && total(&fresh.database, 2).await == 300
        })
        .await;
        drain.cancel();
        tasks.close();
        tasks.wait().await;
        assert_eq!(total(&fresh.database, 2).await, 300);
        assert_eq!(store.backlog().await.unwrap().0, 300);
        assert_eq!(store.projections().await.unwrap(), ["totals"]);
    }
}

#[tokio::test]
async fn the_tables_of_the_last_but_one_build_are_removed() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        append(&store, 1).await;
        let projector = projector(&store, Totals::of(1));
        projector.catch_up().await.unwrap();
        for generation in [2, 3] {
            assert_eq!(store.request_rebuild("totals", None).await.unwrap(), Some(generation));
            projector.catch_up().await.unwrap();
        }
        let builds = store.builds("totals").await.unwrap();
        let generations: Vec<_> = builds.iter().map(|build| build.generation).collect();
        assert_eq!(generations, [2, 3]);
        assert!(select_total(&fresh.database, 1).await.is_err(), "its table is gone");
    }
}

/// What a roll-back leaves: the tables of the later release, and nobody who knows how to fill them.
#[tokio::test]
async fn a_view_that_a_later_release_left_behind_is_told_and_built_again_by_the_earlier_one() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        append(&store, 10).await;
        projector(&store, Totals::of(2)).catch_up().await.unwrap();
        let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
        let earlier = projector(&store, Totals::of(1));
        let overtaken = earlier.overtaken();
        tasks.spawn(earlier.run(drain.clone()));

        minutes_pass(&overtaken, false).await;
        assert_eq!(*overtaken.borrow(), None, "nothing happened since");
        append(&store, 5).await;
        minutes_pass(&overtaken, true).await;
        let told = overtaken.borrow().clone().unwrap();
        assert_eq!((told.own, told.later), (1, 2));
        assert!(told.to_string().contains("rebuild totals --revision 1"), "{told}");

        assert_eq!(store.request_rebuild("totals", Some(1)).await.unwrap(), Some(2));
        wait_until("the earlier release's view", LIMIT, async || {
            store.active_generation("totals").await.unwrap() == Some(2)
                && total(&fresh.database, 2).await == 15
        })
        .await;
        wait_until("nothing to tell", LIMIT, async || overtaken.borrow().is_none()).await;
        drain.cancel();
        tasks.close();
        tasks.wait().await;
    }
}

#[tokio::test]
async fn an_earlier_release_beside_a_later_one_that_goes_on_has_nothing_to_tell() {
    let fresh = databases::sqlite().await;
    let store = SqlStore::new(&fresh.database);
    append(&store, 10).await;
    let later = projector(&store, Totals::of(2));
    later.catch_up().await.unwrap();
    let drain = CancellationToken::new();
    let earlier = projector(&store, Totals::of(1));
    let overtaken = earlier.overtaken();
    let rolling_out = async {
        for _ in 0..6 {
            append(&store, 1).await;
            later.catch_up().await.unwrap();
            minutes_pass(&overtaken, false).await;
            assert_eq!(*overtaken.borrow(), None);
        }
        drain.cancel();
    };
    tokio::join!(earlier.run(drain.clone()), rolling_out);
}

/// Two minutes, and more while something is to be told that is not yet.
async fn minutes_pass(overtaken: &watch::Receiver<Option<Overtaken>>, is_told: bool) {
    let start = Instant::now();
    let minutes = Duration::from_secs(120);
    let mut turns = 0;
    while start.elapsed() < minutes || (is_told && overtaken.borrow().is_none()) {
        turns += 1;
        assert!(turns < 2000, "it is never told");
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(6)).await;
        tokio::time::resume();
        // The database has threads of its own, which no clock of ours moves.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Counts events, times a factor, and tells of each.
struct Totals {
    revision: u32,
    factor: i64,
    fails_at: Option<u64>,
}

impl Totals {
    fn of(revision: u32) -> Self {
        Self { revision, factor: 1, fails_at: None }
    }
}

#[async_trait]
impl Projection<Transaction> for Totals {
    fn name(&self) -> &str {
        "totals"
    }

    fn revision(&self) -> u32 {
        self.revision
    }

    fn filter(&self) -> Filter {
        Filter::category("order")
    }

    async fn create(&self, tx: &mut Transaction, generation: u32) -> Result<(), ProjectionError> {
        run(tx, format!("CREATE TABLE totals_{generation} (total BIGINT NOT NULL)")).await?;
        run(tx, format!("INSERT INTO totals_{generation} VALUES (0)")).await
    }

    async fn apply(
        &self,
        tx: &mut Transaction,
        generation: u32,
        event: &Recorded,
        effects: &mut Effects,
    ) -> Result<(), ProjectionError> {
        if self.fails_at.is_some_and(|at| event.position.get() >= at) {
            return Err("as asked".into());
        }
        let factor = self.factor;
        run(tx, format!("UPDATE totals_{generation} SET total = total + {factor}")).await?;
        effects.publish(CloudEvent::try_new(event.id.to_string(), "/totals", "counted")?);
        Ok(())
    }

    async fn remove(&self, tx: &mut Transaction, generation: u32) -> Result<(), ProjectionError> {
        run(tx, format!("DROP TABLE totals_{generation}")).await
    }
}

async fn run(tx: &mut Transaction, statement: String) -> Result<(), ProjectionError> {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    match tx {
        Transaction::Sqlite(sqlite) => statement.execute(&mut **sqlite).await.map(drop)?,
        Transaction::Postgres(postgres) => statement.execute(&mut **postgres).await.map(drop)?,
    }
    Ok(())
}

fn projector(store: &SqlStore, totals: Totals) -> Projector<SqlStore, Totals> {
    let store = Arc::new(store.clone());
    Projector::new(store.clone(), store, totals)
}

async fn append(store: &SqlStore, count: usize) {
    let events = (0..count).map(|_| NewEvent::new(Uuid::now_v7(), "Placed", json!({}))).collect();
    let stream = StreamId::try_new("order", 1).unwrap();
    store.append(&Append::new(stream, Expected::Any, events)).await.unwrap();
    let other = StreamId::try_new("user", 1).unwrap();
    let event = NewEvent::new(Uuid::now_v7(), "Created", json!({}));
    store.append(&Append::new(other, Expected::Any, vec![event])).await.unwrap();
}

async fn total(database: &Database, generation: u32) -> i64 {
    select_total(database, generation).await.unwrap()
}

async fn select_total(database: &Database, generation: u32) -> Result<i64, sqlx::Error> {
    let select =
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT total FROM totals_{generation}")));
    match database.engine() {
        Engine::Sqlite(sqlite) => select.fetch_one(sqlite.reader()).await,
        Engine::Postgres(postgres) => {
            let select = format!("SELECT total FROM totals_{generation}");
            sqlx::query_scalar(AssertSqlSafe(select)).fetch_one(postgres.pool()).await
        }
    }
}
