//! A database that is away, comes back, or is no database.

use std::time::Duration;

use regatta_database::{Database, Engine, Error, Migration, Options};
use regatta_testkit::{Postgres, free_port, wait_until};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);
const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "boats",
    sqlite: "CREATE TABLE boats (id INTEGER PRIMARY KEY)",
    postgres: "CREATE TABLE boats (id INT PRIMARY KEY)",
}];

#[tokio::test]
async fn postgres_may_come_late_go_and_come_back() {
    let mut server = Postgres::start().await.unwrap();
    let url = server.database().await.unwrap();
    server.stop();

    let mut options = Options::default();
    options.acquire_timeout = Duration::from_millis(200);
    let database = Database::open(&url, &options).unwrap();
    assert!(matches!(database.probe().await, Err(Error::Unavailable(_))));
    assert!(database.migrate(MIGRATIONS).await.unwrap_err().is_unavailable());

    server.resume().await.unwrap();
    database.migrate_when_reachable(MIGRATIONS).await.unwrap();
    database.probe().await.unwrap();
    count(&database).await.unwrap();

    server.stop();
    let error = count(&database).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(!error.is_retryable());
    server.resume().await.unwrap();
    wait_until("the pool to heal", LIMIT, async || count(&database).await.is_ok()).await;
}

#[tokio::test]
async fn a_busy_pool_is_not_an_unhealthy_one() {
    let url = Postgres::shared().await.database().await.unwrap();
    let mut options = Options::default();
    options.max_connections = 1;
    let database = Database::open(&url, &options).unwrap();
    let Engine::Postgres(postgres) = database.engine() else { panic!("is PostgreSQL") };
    let _held = postgres.begin().await.unwrap();
    database.probe().await.unwrap();
}

#[tokio::test]
async fn a_refused_connection_says_so_and_never_the_password() {
    let url = format!("postgres://app:hunter2@127.0.0.1:{}/shop", free_port());
    let database = Database::open(&url, &Options::default()).unwrap();
    let error = database.probe().await.unwrap_err();
    let shown = format!("{} {error:?} {database:?}", regatta_core::Chain(&error));
    assert!(shown.contains("refused"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_unavailable() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("notes.db");
    std::fs::write(&file, "these are notes, not a database; ".repeat(100)).unwrap();
    let url = format!("sqlite://{}", file.display());
    let database = Database::open(&url, &Options::default()).unwrap();
    assert!(matches!(database.probe().await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn a_closed_database_refuses_queries() {
    let database = Database::open("sqlite::memory:", &Options::default()).unwrap();
    database.migrate(MIGRATIONS).await.unwrap();
    database.close().await;
    assert!(matches!(count(&database).await, Err(Error::Unavailable(_))));
}

/// SQLite's own limit answers as a full disk does (SQLITE_FULL), at a place of our choosing.
#[tokio::test]
async fn a_full_disk_loses_nothing_refuses_whole_transactions_and_heals() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}/boats.db", folder.path().display());
    let database = Database::open(&url, &Options::default()).unwrap();
    let migrations = [Migration {
        sqlite: "CREATE TABLE boats (id INTEGER PRIMARY KEY, cargo BLOB)",
        ..MIGRATIONS[0]
    }];
    database.migrate(&migrations).await.unwrap();
    let Engine::Sqlite(sqlite) = database.engine() else { panic!("is SQLite") };
    let limit = async |pages: u32| {
        let limit = format!("PRAGMA max_page_count = {pages}");
        sqlx::query(sqlx::AssertSqlSafe(limit)).execute(sqlite.writer()).await.unwrap();
    };
    limit(40).await;
    let mut written = 0;
    let full = loop {
        let mut writing = sqlite.begin().await.unwrap();
        let insert = "INSERT INTO boats (cargo) VALUES (zeroblob(10000)), (zeroblob(10000))";
        let inserted = sqlx::query(insert).execute(&mut *writing).await;
        let done = match inserted {
            Ok(_) => writing.commit().await,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => written += 2,
            Err(error) => break Error::from(error),
        }
        assert!(written < 1000, "the disk never gets full");
    };
    assert!(matches!(full, Error::Unavailable(_)), "{full:?}");
    assert_eq!(full.code(), regatta_core::Code::Unavailable);
    // What was committed is there, nothing of what was not, and reading goes on.
    assert!(written > 0);
    assert_eq!(count(&database).await.unwrap(), written);
    database.probe().await.unwrap();
    limit(10_000).await;
    // The next transaction, too: the driver once took the writer for one in a transaction ever after.
    for more in 1..=2 {
        let mut writing = sqlite.begin().await.unwrap();
        let insert = sqlx::query("INSERT INTO boats (cargo) VALUES (zeroblob(10000))");
        insert.execute(&mut *writing).await.unwrap();
        writing.commit().await.unwrap();
        assert_eq!(count(&database).await.unwrap(), written + more);
    }
}

async fn count(database: &Database) -> Result<i64, Error> {
    let count = "SELECT count(*) FROM boats";
    match database.engine() {
        Engine::Sqlite(sqlite) => {
            let count = sqlx::query_scalar(count).fetch_one(sqlite.reader());
            database.query("SELECT", "boats", count).await
        }
        Engine::Postgres(postgres) => {
            let count = sqlx::query_scalar(count).fetch_one(postgres.pool());
            database.query("SELECT", "boats", count).await
        }
    }
}
