//! Queries: settings of the connections, and the sorting of errors.

use std::time::Duration;

use regatta_database::{Database, Engine, Error, Migration, Options, Postgres, Sqlite};
use tempfile::TempDir;
use tokio::task::JoinSet;

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "boats",
    sqlite: "CREATE TABLE boats (id INTEGER PRIMARY KEY, name TEXT NOT NULL, \
             mooring INTEGER REFERENCES boats (id), berth INTEGER UNIQUE);
             CREATE UNIQUE INDEX boats_name_key ON boats (lower(name));",
    postgres: "CREATE TABLE boats (id INT PRIMARY KEY, name TEXT NOT NULL, \
               mooring INT REFERENCES boats (id), berth INT UNIQUE);
               CREATE UNIQUE INDEX boats_name_key ON boats (lower(name));",
}];

#[tokio::test]
async fn sqlite_commits_to_the_disk_and_enforces_foreign_keys() {
    let folder = TempDir::new().unwrap();
    let database = sqlite(&folder, &Options::default()).await;
    for pool in [engine_of(&database).writer(), engine_of(&database).reader()] {
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
        // 2 is FULL: each commit is flushed to the disk before it is acknowledged.
        let flush: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await.unwrap();
        let keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(pool).await.unwrap();
        assert_eq!((mode.as_str(), flush, keys), ("wal", 2, 1));
    }
}

#[tokio::test]
async fn a_commit_that_need_not_wait_for_the_disk_leaves_the_next_one_waiting() {
    let folder = TempDir::new().unwrap();
    let database = sqlite(&folder, &Options::default()).await;
    let sqlite = engine_of(&database);
    for commits in [true, false] {
        let mut lax = sqlite.begin_lax().await.unwrap();
        let insert = sqlx::query("INSERT INTO boats (id, name) VALUES (1, 'a')");
        insert.execute(&mut *lax).await.unwrap();
        let flush: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *lax).await.unwrap();
        assert_eq!(flush, 1, "NORMAL");
        match commits {
            true => lax.commit().await.unwrap(),
            false => drop(lax),
        }
        let mut next = sqlite.begin().await.unwrap();
        let flush: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *next).await.unwrap();
        assert_eq!(flush, 2, "FULL");
        sqlx::query("DELETE FROM boats").execute(&mut *next).await.unwrap();
        next.commit().await.unwrap();
    }
    // Whoever does not wait until it has begun.
    for _ in 0..20 {
        let begun = tokio::time::timeout(Duration::from_micros(1), sqlite.begin_lax()).await;
        drop(begun);
        let flush: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(sqlite.writer()).await.unwrap();
        assert_eq!(flush, 2, "FULL");
    }
}

#[tokio::test]
async fn a_reader_of_sqlite_cannot_write() {
    let folder = TempDir::new().unwrap();
    let database = sqlite(&folder, &Options::default()).await;
    let write = sqlx::query("INSERT INTO boats (id, name) VALUES (1, 'a')");
    assert!(write.execute(engine_of(&database).reader()).await.is_err());
}

#[tokio::test]
async fn both_engines_sort_errors_alike() {
    let folder = TempDir::new().unwrap();
    for database in
        [sqlite(&folder, &Options::default()).await, postgres(&Options::default()).await]
    {
        let system = database.system();
        run(&database, "INSERT INTO boats (id, name, berth) VALUES (1, 'Ann', 5)").await.unwrap();
        let name = run(&database, "INSERT INTO boats (id, name) VALUES (2, 'ANN')").await;
        assert!(name.unwrap_err().violates("boats_name_key"), "{system}");
        let berth = run(&database, "INSERT INTO boats (id, name, berth) VALUES (2, 'b', 5)").await;
        assert!(matches!(berth, Err(Error::UniqueViolation { .. })), "{system}");
        for refused in [
            "INSERT INTO boats (id, name, mooring) VALUES (2, 'b', 9)",
            "INSERT INTO boats (id) VALUES (2)",
        ] {
            let refused = run(&database, refused).await;
            assert!(matches!(refused, Err(Error::ConstraintViolation(_))), "{system} {refused:?}");
        }
        let wrong = run(&database, "INSERT INTO ships VALUES (1)").await;
        assert!(matches!(wrong, Err(Error::Statement(_))), "{system}");
    }
}

#[tokio::test]
async fn no_error_shows_the_row_that_it_is_about() {
    let database = postgres(&Options::default()).await;
    for statement in [
        "INSERT INTO boats (id, name, mooring) VALUES (2, 'private', 9)",
        "INSERT INTO boats (id, name) VALUES (3, 'private'), (3, 'private')",
        "INSERT INTO boats (name) VALUES ('private')",
    ] {
        let error = run(&database, statement).await.unwrap_err();
        let shown = format!("{} {error:?}", regatta_core::Chain(&error));
        assert!(!shown.contains("private"), "{shown}");
    }
}

#[tokio::test]
async fn postgres_stops_a_statement_that_runs_too_long() {
    let mut options = Options::default();
    options.statement_timeout = Duration::from_millis(50);
    let database = postgres(&options).await;
    let error = run(&database, "SELECT pg_sleep(60)").await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error:?}");
}

#[tokio::test]
async fn a_lock_that_stays_taken_is_a_conflict_in_both_engines() {
    let mut options = Options::default();
    options.lock_timeout = Duration::from_millis(50);
    let folder = TempDir::new().unwrap();

    let held = sqlite(&folder, &options).await;
    let _writing = engine_of(&held).begin().await.unwrap();
    // Other pools, as another process has.
    let other = Database::open(&url(&folder), &options).unwrap();
    let error = engine_of(&other).begin().await.unwrap_err();
    assert!(matches!(error, Error::Conflict(_)) && error.is_retryable(), "{error:?}");

    let database = postgres(&options).await;
    let mut holding = server_of(&database).begin().await.unwrap();
    sqlx::query("LOCK TABLE boats").execute(&mut *holding).await.unwrap();
    let error = run(&database, "INSERT INTO boats (id, name) VALUES (1, 'a')").await.unwrap_err();
    assert!(matches!(error, Error::Conflict(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_process_queue_and_none_fails() {
    let folder = TempDir::new().unwrap();
    let database = sqlite(&folder, &Options::default()).await;
    let mut writers = JoinSet::new();
    for id in 0..50 {
        let database = database.clone();
        writers.spawn(async move {
            let mut writing = engine_of(&database).begin().await.unwrap();
            let insert = sqlx::query("INSERT INTO boats (id, name) VALUES (?1, 'boat ' || ?1)");
            insert.bind(id).execute(&mut *writing).await.unwrap();
            // Every other transaction is given up half-way.
            if id % 2 == 0 {
                writing.commit().await.unwrap()
            }
        });
    }
    writers.join_all().await;
    let count = sqlx::query_scalar("SELECT count(*) FROM boats");
    let count: i64 = count.fetch_one(engine_of(&database).reader()).await.unwrap();
    assert_eq!(count, 25);
}

#[tokio::test]
async fn readers_of_sqlite_do_not_wait_for_the_writer_and_see_what_is_committed() {
    let folder = TempDir::new().unwrap();
    let database = sqlite(&folder, &Options::default()).await;
    let count = async || -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM boats");
        count.fetch_one(engine_of(&database).reader()).await.unwrap()
    };
    let mut writing = engine_of(&database).begin().await.unwrap();
    sqlx::query("INSERT INTO boats (id, name) VALUES (1, 'Ann')")
        .execute(&mut *writing)
        .await
        .unwrap();
    // Several at once, while the transaction is open: with one connection they would wait for ever.
    let (one, two, three) = tokio::join!(count(), count(), count());
    assert_eq!((one, two, three), (0, 0, 0));
    writing.commit().await.unwrap();
    assert_eq!(count().await, 1);
}

/// A transaction that began as a reader could not become a writer while another one wrote; with
/// BEGIN IMMEDIATE none fails half-way.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_read_and_then_write_lose_no_update() {
    let folder = TempDir::new().unwrap();
    let first = sqlite(&folder, &Options::default()).await;
    run(&first, "INSERT INTO boats (id, name, berth) VALUES (1, 'Ann', 0)").await.unwrap();
    let mut processes = JoinSet::new();
    for _ in 0..4 {
        let own = Database::open(&url(&folder), &Options::default()).unwrap();
        processes.spawn(async move {
            for _ in 0..25 {
                let mut writing = engine_of(&own).begin().await.unwrap();
                let berth: i64 = sqlx::query_scalar("SELECT berth FROM boats WHERE id = 1")
                    .fetch_one(&mut *writing)
                    .await
                    .unwrap();
                let update = sqlx::query("UPDATE boats SET berth = ?1 WHERE id = 1");
                update.bind(berth + 1).execute(&mut *writing).await.unwrap();
                writing.commit().await.unwrap();
            }
        });
    }
    processes.join_all().await;
    let berth = sqlx::query_scalar("SELECT berth FROM boats WHERE id = 1");
    let berth: i64 = berth.fetch_one(engine_of(&first).reader()).await.unwrap();
    assert_eq!(berth, 100);
}

#[tokio::test]
async fn of_two_that_wait_for_each_other_in_postgres_one_is_told_to_repeat() {
    let database = postgres(&Options::default()).await;
    run(&database, "INSERT INTO boats (id, name) VALUES (1, 'Ann'), (2, 'Bob')").await.unwrap();
    let (mut one, mut two) =
        (server_of(&database).begin().await.unwrap(), server_of(&database).begin().await.unwrap());
    let update = |id: i32| sqlx::query("UPDATE boats SET berth = NULL WHERE id = $1").bind(id);
    update(1).execute(&mut *one).await.unwrap();
    update(2).execute(&mut *two).await.unwrap();
    let (first, second) = tokio::join!(update(2).execute(&mut *one), update(1).execute(&mut *two));
    let lost = [first, second].into_iter().filter_map(Result::err).map(Error::from);
    let lost: Vec<_> = lost.collect();
    assert!(matches!(&lost[..], [Error::Conflict(_)]) && lost[0].is_retryable(), "{lost:?}");
}

async fn run(database: &Database, statement: &'static str) -> Result<(), Error> {
    let done = async {
        match database.engine() {
            Engine::Sqlite(sqlite) => {
                sqlx::query(statement).execute(sqlite.writer()).await.map(drop)
            }
            Engine::Postgres(postgres) => {
                sqlx::query(statement).execute(postgres.pool()).await.map(drop)
            }
        }
    };
    database.query("INSERT", "boats", done).await
}

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}/boats.db", folder.path().display())
}

async fn sqlite(folder: &TempDir, options: &Options) -> Database {
    migrated(&url(folder), options).await
}

async fn postgres(options: &Options) -> Database {
    let server = regatta_testkit::Postgres::shared().await;
    migrated(&server.database().await.unwrap(), options).await
}

async fn migrated(url: &str, options: &Options) -> Database {
    let database = Database::open(url, options).unwrap();
    database.migrate(MIGRATIONS).await.unwrap();
    database
}

fn engine_of(database: &Database) -> &Sqlite {
    let Engine::Sqlite(sqlite) = database.engine() else { panic!("is SQLite") };
    sqlite
}

fn server_of(database: &Database) -> &Postgres {
    let Engine::Postgres(postgres) = database.engine() else { panic!("is PostgreSQL") };
    postgres
}
