//! Commits wake who waits for them, in this process and in others.

use std::time::Duration;

use regatta_database::{Database, Engine, Horizon, Migration, Options, Schema, Watcher};
use regatta_testkit::Postgres;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

/// Well under the second after which a watcher looks by itself.
const SOON: Duration = Duration::from_millis(800);
const LIMIT: Duration = Duration::from_secs(20);

const MIGRATION: Migration = Migration {
    version: 1,
    name: "log",
    sqlite: "CREATE TABLE log (id INTEGER PRIMARY KEY)",
    postgres: "CREATE TABLE log (id BIGINT PRIMARY KEY);
               CREATE SEQUENCE log_id MINVALUE 0 START 0; SELECT nextval('log_id');",
};
const LOG: Schema<'static> = Schema { name: "log", migrations: &[MIGRATION] };
const HORIZON: Horizon = Horizon { sequence: "log_id", tag: 77 };

#[tokio::test]
async fn a_commit_of_another_process_to_a_sqlite_file_wakes() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}/log.db", folder.path().display());
    let (here, there) = (open(&url).await, open(&url).await);
    let mut watcher = here.changes("log").watch();
    settle(&mut watcher).await;
    for id in 0..3 {
        let mut waiting = wait_in_a_task(watcher);
        let writing = there.begin().await.unwrap();
        insert(writing, id).await;
        watcher = waiting.join().await;
    }
}

#[tokio::test]
async fn news_of_a_server_reach_every_process() {
    let url = Postgres::shared().await.database().await.unwrap();
    let (here, there) = (open(&url).await, open(&url).await);
    let mut watcher = here.changes("log").watch();
    settle(&mut watcher).await;
    let telling = there.changes("log");
    for id in 0..3 {
        let mut waiting = wait_in_a_task(watcher);
        insert(there.begin().await.unwrap(), id).await;
        telling.announce();
        watcher = waiting.join().await;
    }
}

/// A second one that listens would take a connection that nobody else gets, and news would wait.
#[tokio::test]
async fn news_reach_all_channels_of_a_database_over_one_connection() {
    let url = Postgres::shared().await.database().await.unwrap();
    let (here, there) = (open(&url).await, open(&url).await);
    let names = ["log", "other", "third"];
    let mut watchers = names.map(|name| here.changes(name).watch());
    for watcher in &mut watchers {
        settle(watcher).await;
    }
    for _ in 0..3 {
        let waiting = watchers.map(wait_in_a_task);
        for name in names {
            there.changes(name).announce();
        }
        let mut woken = Vec::new();
        for mut waiting in waiting {
            woken.push(waiting.join().await);
        }
        watchers = woken.try_into().unwrap();
    }
    let Engine::Postgres(postgres) = here.engine() else { panic!("is PostgreSQL") };
    let listeners = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let listeners: i64 = sqlx::query_scalar(listeners).fetch_one(postgres.pool()).await.unwrap();
    assert_eq!(listeners, 1);
}

#[tokio::test]
async fn what_was_told_between_two_waits_is_not_missed() {
    let database = open("sqlite::memory:").await;
    let changes = database.changes("log");
    let mut watcher = changes.watch();
    for _ in 0..3 {
        changes.announce();
        let before = Instant::now();
        watcher.changed().await;
        assert!(before.elapsed() < SOON);
    }
}

#[tokio::test]
async fn two_schemas_of_one_database_are_numbered_apart() {
    let folder = TempDir::new().unwrap();
    let sqlite = format!("sqlite://{}/log.db", folder.path().display());
    let server = Postgres::shared().await.database().await.unwrap();
    for url in [sqlite, server] {
        let database = open(&url).await;
        let own = Migration {
            name: "own",
            sqlite: "CREATE TABLE own (id INTEGER)",
            postgres: "CREATE TABLE own (id INTEGER)",
            ..MIGRATION
        };
        database.migrate(&[own]).await.unwrap();
        database.migrate_schema(&LOG).await.unwrap();
        database.probe().await.unwrap();
        let broken = Schema { name: "drop table", ..LOG };
        assert!(database.migrate_schema(&broken).await.is_err());
        assert!(database.probe().await.is_err(), "a schema is wanted and not there");
    }
}

#[tokio::test]
async fn the_horizon_stops_before_a_writer_that_has_not_committed() {
    let url = Postgres::shared().await.database().await.unwrap();
    let database = open(&url).await;
    let Engine::Postgres(postgres) = database.engine() else { panic!("is PostgreSQL") };
    assert_eq!(HORIZON.reached(postgres).await.unwrap(), 0);
    let mut early = postgres.begin().await.unwrap();
    let mut late = postgres.begin().await.unwrap();
    for transaction in [&mut early, &mut late] {
        HORIZON.announce(transaction).await.unwrap();
        let take = sqlx::query("INSERT INTO log VALUES (nextval('log_id'))");
        take.execute(&mut **transaction).await.unwrap();
    }
    late.commit().await.unwrap();
    assert_eq!(HORIZON.reached(postgres).await.unwrap(), 0, "1 may still be committed");
    early.rollback().await.unwrap();
    assert_eq!(HORIZON.reached(postgres).await.unwrap(), 2, "1 was given up");
    // Another log's writers are nothing to this one.
    let mut other = postgres.begin().await.unwrap();
    Horizon { tag: 78, ..HORIZON }.announce(&mut other).await.unwrap();
    assert_eq!(HORIZON.reached(postgres).await.unwrap(), 2);
}

/// Waits until the watcher listens and hears nothing.
async fn settle(watcher: &mut Watcher) {
    let quiet = async {
        loop {
            let before = Instant::now();
            watcher.changed().await;
            if before.elapsed() >= SOON {
                return;
            }
        }
    };
    timeout(LIMIT, quiet).await.expect("nothing is written");
}

/// A watcher that waits in a task, and was woken by news rather than by its own clock.
struct Waiting(tokio::task::JoinHandle<(Watcher, Duration)>);

impl Waiting {
    async fn join(&mut self) -> Watcher {
        let (watcher, waited) = timeout(LIMIT, &mut self.0).await.unwrap().unwrap();
        assert!(waited < SOON, "{waited:?}");
        watcher
    }
}

fn wait_in_a_task(mut watcher: Watcher) -> Waiting {
    Waiting(tokio_util::task::TaskTracker::new().spawn(async move {
        let before = Instant::now();
        watcher.changed().await;
        (watcher, before.elapsed())
    }))
}

async fn insert(mut transaction: regatta_database::Transaction, id: i64) {
    match &mut transaction {
        regatta_database::Transaction::Sqlite(sqlite) => {
            let insert = sqlx::query("INSERT INTO log VALUES (?1)").bind(id);
            insert.execute(&mut **sqlite).await.unwrap();
        }
        regatta_database::Transaction::Postgres(postgres) => {
            let insert = sqlx::query("INSERT INTO log VALUES ($1)").bind(id);
            insert.execute(&mut **postgres).await.unwrap();
        }
    }
    transaction.commit().await.unwrap();
}

async fn open(url: &str) -> Database {
    let database = Database::open(url, &Options::default()).unwrap();
    database.migrate_schema(&LOG).await.unwrap();
    database
}
