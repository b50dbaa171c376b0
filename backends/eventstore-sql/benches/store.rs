//! The event store beside bare SQL of the same rows on the same database.
//!
//! Load: events of about 120 bytes of JSON, batches of 1, 10 and 100, 1, 8 and 32 writers with a
//! stream each; a real SQLite file and a real PostgreSQL on the same disk, both of which flush each
//! commit. Baselines: one INSERT a batch of the same rows, which commits by itself, over the same
//! pool, into a table with the same columns and indexes; and the same into a bare table, whose only
//! index is its primary key. Neither asks which version a stream has, nor tells anybody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use regatta_database::{Database, Engine, Options};
use regatta_eventstore::{
    Aggregate, Append, DomainEvent, EventStore, Expected, NewEvent, Repository, StreamId, Version,
};
use regatta_eventstore_sql::{SCHEMA, SqlStore};
use regatta_testkit::Postgres;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use uuid::Uuid;

const BATCHES: [usize; 3] = [1, 10, 100];
const WRITERS: [u64; 3] = [1, 8, 32];

fn appends(c: &mut Criterion) {
    let runtime = runtime();
    // What hears a database's news is given back on the runtime.
    let _inside = runtime.enter();
    let (_server, databases) = runtime.block_on(databases());
    for (engine, database) in &databases {
        for batch in BATCHES {
            for writers in WRITERS {
                let name = format!("append, {engine}, {batch} a batch, {writers} writers");
                let mut group = group(c, name, batch as u64);
                let store = Arc::new(SqlStore::new(database));
                group.bench_function("ours", |b| {
                    b.iter_custom(|rounds| {
                        runtime.block_on(at_once(writers, rounds, |own| {
                            let (store, stream) = (store.clone(), new_stream());
                            async move {
                                let mut version = Version::NONE;
                                for _ in 0..own {
                                    let expected = Expected::Exactly(version);
                                    let append =
                                        Append::new(stream.clone(), expected, events(batch));
                                    let appended = store.append(&append).await;
                                    version = appended.expect("is appended").version;
                                }
                            }
                        }))
                    });
                });
                for (name, table) in
                    [("raw INSERT", "raw_events"), ("raw INSERT, bare table", "bare_events")]
                {
                    group.bench_function(name, |b| {
                        b.iter_custom(|rounds| {
                            runtime.block_on(at_once(writers, rounds, |own| {
                                let (database, stream) = (database.clone(), new_stream());
                                async move {
                                    for round in 0..own {
                                        let at = (&stream, round as i64 * batch as i64);
                                        insert(&database, table, at, events(batch)).await;
                                    }
                                }
                            }))
                        });
                    });
                }
                group.finish();
            }
        }
    }
}

/// The rows of an append, by hand, after this version of the stream.
async fn insert(
    database: &Database,
    table: &str,
    (stream, version): (&StreamId, i64),
    events: Vec<NewEvent>,
) {
    let now = time::OffsetDateTime::now_utc();
    match database.engine() {
        Engine::Sqlite(sqlite) => {
            // One statement, which commits by itself.
            let mut insert = sqlx::QueryBuilder::<sqlx::Sqlite>::new(format!(
                "INSERT INTO {table} (stream, category, version, id, type, revision, data,
                     metadata, subject, sealed, recorded_at) ",
            ));
            insert.push_values((version + 1..).zip(events), |mut row, (version, event)| {
                row.push_bind(stream.as_str().to_owned())
                    .push_bind(stream.category().to_owned())
                    .push_bind(version)
                    .push_bind(event.id.to_string())
                    .push_bind(event.event_type)
                    .push_bind(1_i64)
                    .push_bind(event.data.to_string())
                    .push_bind("{}")
                    .push_bind(None::<String>)
                    .push_bind(None::<Vec<u8>>)
                    .push_bind(now.unix_timestamp());
            });
            insert.build().execute(sqlite.writer()).await.expect("is inserted");
        }
        Engine::Postgres(postgres) => {
            let insert = sqlx::query(sqlx::AssertSqlSafe(format!(
                "INSERT INTO {table}
                 SELECT nextval('raw_events_position'), $1, $2, $3 + event.number, event.id::uuid,
                     event.type, 1, event.data::JSON, '{{}}'::JSON, NULL, NULL, now()
                 FROM unnest($4::text[], $5::text[], $6::text[])
                     WITH ORDINALITY AS event (id, type, data, number)",
            )));
            insert
                .bind(stream.as_str())
                .bind(stream.category())
                .bind(version)
                .bind(events.iter().map(|event| event.id.to_string()).collect::<Vec<_>>())
                .bind(events.iter().map(|event| event.event_type.clone()).collect::<Vec<_>>())
                .bind(events.iter().map(|event| event.data.to_string()).collect::<Vec<_>>())
                .execute(postgres.pool())
                .await
                .expect("is inserted");
        }
    }
}

fn loads(c: &mut Criterion) {
    let runtime = runtime();
    // What hears a database's news is given back on the runtime.
    let _inside = runtime.enter();
    let (_server, databases) = runtime.block_on(databases());
    for (engine, database) in &databases {
        let store = Arc::new(SqlStore::new(database));
        let stream = StreamId::try_new(Counter::CATEGORY, "a").expect("is a stream");
        runtime.block_on(async {
            for _ in 0..10 {
                let events = (0..100).map(|_| counted()).collect();
                let append = Append::new(stream.clone(), Expected::Any, events);
                store.append(&append).await.expect("is appended");
            }
        });
        let plain = Repository::<Counter>::new(store.clone());
        let mut group = group(c, format!("load of 1000 events, {engine}"), 1);
        group.bench_function("ours", |b| {
            b.iter(|| runtime.block_on(plain.load("a")).expect("loads").aggregate.count);
        });
        group.bench_function("raw SELECT and serde_json", |b| {
            b.iter(|| runtime.block_on(select(database, &stream)));
        });
        // The event of the command is the 1,001st.
        let every = std::num::NonZeroU64::new(1001).expect("is not 0");
        let repository = Repository::<Counter>::new(store.clone()).with_snapshots(every);
        // The command makes the snapshot.
        runtime.block_on(repository.execute("a", &(), &Default::default())).expect("counts");
        group.bench_function("ours, with a snapshot", |b| {
            b.iter(|| runtime.block_on(repository.load("a")).expect("loads").aggregate.count);
        });
        group.finish();
    }
}

async fn select(database: &Database, stream: &StreamId) -> usize {
    let select = "SELECT CAST(data AS TEXT) FROM regatta_events WHERE stream = $1 ORDER BY version";
    let rows: Vec<String> = match database.engine() {
        Engine::Sqlite(sqlite) => {
            let select = sqlx::query_scalar(select).bind(stream.as_str());
            select.fetch_all(sqlite.reader()).await.expect("reads")
        }
        Engine::Postgres(postgres) => {
            let select = sqlx::query_scalar(select).bind(stream.as_str());
            select.fetch_all(postgres.pool()).await.expect("reads")
        }
    };
    let values = rows.iter().map(|row| serde_json::from_str::<Value>(row).expect("is JSON"));
    values.filter(|value| !value.is_null()).count()
}

/// Runs so many writers, which do so many rounds together; answers how long it took.
async fn at_once<F>(writers: u64, rounds: u64, writer: impl Fn(u64) -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let start = now();
    for number in 0..writers {
        tasks.spawn(writer(rounds / writers + u64::from(number < rounds % writers)));
    }
    tasks.join_all().await;
    start.elapsed()
}

/// SQLite in a file and PostgreSQL, which ends with what is answered first; with the store's tables,
/// one of the same columns and indexes, and one of the same columns.
async fn databases() -> (Postgres, [(&'static str, Database); 2]) {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let sqlite = format!("sqlite://{}/store.db", folder.display());
    let server = Postgres::start_flushing().await.unwrap_or_else(|error| panic!("{error}"));
    let postgres = server.database().await.unwrap_or_else(|error| panic!("{error}"));
    let mut opened = Vec::new();
    for (name, url) in [("SQLite", sqlite), ("PostgreSQL", postgres)] {
        let database = Database::open(&url, &Options::default()).expect("opens");
        database.migrate_schema(&SCHEMA).await.expect("migrates");
        let columns = [
            "CREATE TABLE raw_events (position INTEGER PRIMARY KEY, stream TEXT NOT NULL,
             category TEXT NOT NULL, version INTEGER NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
             revision INTEGER NOT NULL, data TEXT NOT NULL, metadata TEXT NOT NULL, subject TEXT,
             sealed BLOB, recorded_at INTEGER NOT NULL)",
            "CREATE TABLE raw_events (position BIGINT PRIMARY KEY, stream TEXT COLLATE \"C\" NOT NULL,
             category TEXT COLLATE \"C\" NOT NULL, version BIGINT NOT NULL, id UUID NOT NULL,
             type TEXT NOT NULL, revision INT NOT NULL, data JSON NOT NULL, metadata JSON NOT NULL,
             subject TEXT, sealed BYTEA, recorded_at TIMESTAMPTZ NOT NULL)",
        ];
        let indexes = [
            "CREATE UNIQUE INDEX raw_events_stream_version ON raw_events (stream, version)",
            "CREATE UNIQUE INDEX raw_events_id ON raw_events (id)",
            "CREATE INDEX raw_events_subject ON raw_events (subject) WHERE subject IS NOT NULL",
        ];
        match database.engine() {
            Engine::Sqlite(sqlite) => {
                for statement in [&columns[..1], &indexes].concat() {
                    sqlx::query(statement).execute(sqlite.writer()).await.expect("is made");
                }
                let bare = columns[0].replace("raw_events", "bare_events");
                let bare = sqlx::query(sqlx::AssertSqlSafe(bare));
                bare.execute(sqlite.writer()).await.expect("is made");
            }
            Engine::Postgres(postgres) => {
                let sequence = ["CREATE SEQUENCE raw_events_position"];
                for statement in [&columns[1..], &indexes, &sequence].concat() {
                    sqlx::query(statement).execute(postgres.pool()).await.expect("is made");
                }
                let bare = columns[1].replace("raw_events", "bare_events");
                let bare = sqlx::query(sqlx::AssertSqlSafe(bare));
                bare.execute(postgres.pool()).await.expect("is made");
            }
        }
        opened.push((name, database));
    }
    (server, opened.try_into().expect("two databases"))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts")
}

fn group(c: &mut Criterion, name: String, elements: u64) -> BenchmarkGroup<'_, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(elements)).sample_size(10);
    group.sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group
}

fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| NewEvent::new(Uuid::now_v7(), "OrderPlaced", payload())).collect()
}

fn payload() -> Value {
    json!({ "order_id": 42, "user_id": 7, "amount": "42.50", "note": "leave it with the neighbour" })
}

fn counted() -> NewEvent {
    NewEvent::new(Uuid::now_v7(), "Counted", payload())
}

fn new_stream() -> StreamId {
    StreamId::try_new("order", Uuid::now_v7()).expect("is a stream")
}

/// Counts its events.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Counter {
    count: u64,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum Happened {
    Counted(Value),
}

impl DomainEvent for Happened {}

#[derive(Debug, thiserror::Error)]
#[error("it never refuses")]
struct Never;

impl Aggregate for Counter {
    const CATEGORY: &'static str = "counter";
    type Event = Happened;
    type Command = ();
    type Error = Never;

    fn apply(&mut self, _: &Happened) {
        self.count += 1;
    }

    fn handle(&self, (): &()) -> Result<Vec<Happened>, Never> {
        Ok(vec![Happened::Counted(payload())])
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the real clock")]
fn now() -> Instant {
    Instant::now()
}

criterion_group!(benches, appends, loads);
criterion_main!(benches);
