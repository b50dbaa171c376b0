//! Migrations, with replicas and with mistakes.

use regatta_database::{Database, Engine, MigrateError, Migration, Options};
use regatta_testkit::Postgres;
use tempfile::TempDir;
use tokio::task::JoinSet;

const ONE: Migration = Migration {
    version: 1,
    name: "boats",
    sqlite: "CREATE TABLE boats (id INTEGER PRIMARY KEY); INSERT INTO boats VALUES (1);",
    postgres: "CREATE TABLE boats (id INT PRIMARY KEY); INSERT INTO boats VALUES (1);",
};
const TWO: Migration = Migration {
    version: 2,
    name: "second boat",
    sqlite: "INSERT INTO boats VALUES (2)",
    postgres: "INSERT INTO boats VALUES (2)",
};
const BROKEN: Migration = Migration {
    version: 2,
    name: "broken",
    sqlite: "INSERT INTO boats VALUES (3); INSERT INTO nowhere VALUES (1)",
    postgres: "INSERT INTO boats VALUES (3); INSERT INTO nowhere VALUES (1)",
};

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_replicas_that_start_at_once_migrate_once() {
    let folder = TempDir::new().unwrap();
    replicas_migrate_once(&sqlite(&folder)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_replicas_that_start_at_once_migrate_once() {
    let url = Postgres::shared().await.database().await.unwrap();
    replicas_migrate_once(&url).await;
}

#[tokio::test]
async fn mistakes_are_refused_and_change_nothing_in_sqlite() {
    let folder = TempDir::new().unwrap();
    mistakes_change_nothing(&sqlite(&folder)).await;
}

#[tokio::test]
async fn mistakes_are_refused_and_change_nothing_in_postgres() {
    let url = Postgres::shared().await.database().await.unwrap();
    mistakes_change_nothing(&url).await;
}

/// Each replica has pools of its own, as processes have.
async fn replicas_migrate_once(url: &str) {
    let mut replicas = JoinSet::new();
    for _ in 0..8 {
        let database = open(url);
        replicas.spawn(async move { database.migrate(&[ONE, TWO]).await });
    }
    for migrated in replicas.join_all().await {
        migrated.unwrap();
    }
    assert_eq!(boats(&open(url)).await, [1, 2]);
}

async fn mistakes_change_nothing(url: &str) {
    let database = open(url);
    database.migrate(&[ONE]).await.unwrap();
    let edited = Migration { sqlite: "SELECT 1", postgres: "SELECT 1", ..ONE };
    let error = database.migrate(&[edited, TWO]).await.unwrap_err();
    assert!(matches!(error, MigrateError::Changed { version: 1, .. }), "{error:?}");
    let error = database.migrate(&[ONE, BROKEN]).await.unwrap_err();
    assert!(matches!(error, MigrateError::Step { version: 2, .. }), "{error:?}");
    assert!(!error.is_unavailable());
    assert_eq!(boats(&database).await, [1]);

    assert!(database.probe().await.is_err(), "a schema that is not up to date is not ready");
    database.migrate(&[ONE, TWO]).await.unwrap();
    database.probe().await.unwrap();
    // A replica of the release before starts beside the new ones.
    database.migrate(&[ONE]).await.unwrap();
}

fn open(url: &str) -> Database {
    Database::open(url, &Options::default()).unwrap()
}

fn sqlite(folder: &TempDir) -> String {
    // The folder of the file does not exist yet.
    format!("sqlite://{}/data/boats.db", folder.path().display())
}

async fn boats(database: &Database) -> Vec<i64> {
    let sql = "SELECT CAST(id AS BIGINT) FROM boats ORDER BY id";
    match database.engine() {
        Engine::Sqlite(sqlite) => sqlx::query_scalar(sql).fetch_all(sqlite.reader()).await.unwrap(),
        Engine::Postgres(postgres) => {
            sqlx::query_scalar(sql).fetch_all(postgres.pool()).await.unwrap()
        }
    }
}
