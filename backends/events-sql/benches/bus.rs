//! The bus in memory and on SQL logs, beside the same work without a bus.
//!
//! Load: one publisher, one subscriber, events of about 120 bytes of JSON one at a time, and in
//! hundreds. Baselines: one INSERT of the same rows into a table with the same columns and indexes, and
//! into a bare one, whose only index is its primary key (publish); the former, a SELECT and a DELETE of the
//! row, without a group, a claim or a wake-up (end to end); a channel of tokio (memory). Throughput: a
//! subscriber with 64 in flight, each acknowledged by itself, behind a publisher of hundreds; baseline: the
//! same rows inserted in hundreds, then read and deleted by 64.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use regatta_database::{Database, Engine, Options, writing};
use regatta_events::{CloudEvent, EventBus, GroupName, MemoryBus, Start, Subscription};
use regatta_events_sql::{SCHEMA, SqlBus};
use regatta_testkit::Postgres;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use uuid::Uuid;

const MANY: usize = 100;
const IN_FLIGHT: usize = 64;

fn publishes(c: &mut Criterion) {
    let runtime = runtime();
    let (_server, databases) = runtime.block_on(databases());
    for (engine, database) in &databases {
        let bus = SqlBus::new(database);
        for batch in [1, MANY] {
            let mut group =
                group(c, format!("bus publish, {engine}, {batch} a batch"), batch as u64);
            group.bench_function("ours", |b| {
                b.iter(|| runtime.block_on(bus.publish(&events(batch))).expect("is published"));
            });
            for (name, table) in [("raw INSERT", "raw_log"), ("raw INSERT, bare table", "bare_log")]
            {
                group.bench_function(name, |b| {
                    b.iter(|| runtime.block_on(insert(database, table, &events(batch))));
                });
            }
            group.finish();
        }
    }
    let bus = MemoryBus::default();
    let mut group = group(c, "bus publish, memory".to_owned(), 1);
    group.bench_function("ours", |b| {
        b.iter(|| runtime.block_on(bus.publish(&events(1))).expect("is published"));
    });
    let (sender, _receiver) = tokio::sync::broadcast::channel(10_000);
    group.bench_function("raw tokio broadcast", |b| {
        b.iter(|| sender.send(events(1).remove(0)).expect("has a receiver"));
    });
    group.finish();
}

fn ends(c: &mut Criterion) {
    let runtime = runtime();
    let (_server, databases) = runtime.block_on(databases());
    for (engine, database) in &databases {
        let mut group = group(c, format!("bus end to end, {engine}"), 1);
        let bus: Arc<dyn EventBus> = Arc::new(SqlBus::new(database));
        group.bench_function("ours", |b| through(b, &runtime, &*bus));
        group.bench_function("raw INSERT, SELECT, DELETE", |b| {
            b.iter(|| {
                runtime.block_on(async {
                    insert(database, "raw_log", &events(1)).await;
                    take(database).await
                })
            });
        });
        group.finish();
    }
    let mut group = group(c, "bus end to end, memory".to_owned(), 1);
    group.bench_function("ours", |b| through(b, &runtime, &MemoryBus::default()));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
    group.bench_function("raw tokio channel", |b| {
        b.iter(|| {
            runtime.block_on(async {
                sender.send(events(1).remove(0)).await.expect("has a receiver");
                receiver.recv().await
            })
        });
    });
    group.finish();
}

/// Publishes an event and waits until it is delivered and acknowledged, again and again.
fn through(b: &mut criterion::Bencher<'_>, runtime: &Runtime, bus: &dyn EventBus) {
    b.iter_custom(|rounds| {
        runtime.block_on(async {
            let name = format!("bench-{}", Uuid::new_v4());
            let mut asks = Subscription::new(GroupName::try_new(name).expect("is a name"));
            asks.start = Start::Latest;
            let mut deliveries = bus.subscribe(asks).await.expect("subscribes");
            let start = now();
            for _ in 0..rounds {
                bus.publish(&events(1)).await.expect("is published");
                deliveries.next().await.expect("comes").ack().await.expect("is acknowledged");
            }
            start.elapsed()
        })
    });
}

fn flows(c: &mut Criterion) {
    let runtime = runtime();
    let (_server, databases) = runtime.block_on(databases());
    for (engine, database) in &databases {
        let name = format!("bus throughput, {engine}, {IN_FLIGHT} in flight");
        let mut group = group(c, name, 1);
        let bus = SqlBus::new(database);
        group.bench_function("ours", |b| {
            b.iter_custom(|rounds| runtime.block_on(flow(&bus, rounds)));
        });
        group.bench_function("raw INSERT, SELECT, DELETE", |b| {
            b.iter_custom(|rounds| {
                runtime.block_on(async {
                    let start = now();
                    for batch in batches(rounds, MANY) {
                        insert(database, "raw_log", &events(batch)).await;
                    }
                    for batch in batches(rounds, IN_FLIGHT) {
                        take_many(database, batch).await;
                    }
                    start.elapsed()
                })
            });
        });
        group.finish();
    }
}

/// How long so many events take from the first publication to the last acknowledgement.
async fn flow(bus: &SqlBus, rounds: u64) -> Duration {
    let name = GroupName::try_new(format!("bench-{}", Uuid::new_v4())).expect("is a name");
    let mut asks = Subscription::new(name.clone());
    asks.max_in_flight = IN_FLIGHT as u32;
    let mut deliveries = bus.subscribe(asks).await.expect("subscribes");
    let start = now();
    let publishing = async {
        for batch in batches(rounds, MANY) {
            bus.publish(&events(batch)).await.expect("is published");
        }
    };
    let handling = async {
        let mut acks = JoinSet::new();
        let mut handled = 0;
        while handled < rounds {
            for delivery in deliveries.next_batch().await.expect("comes") {
                handled += 1;
                acks.spawn(delivery.ack());
            }
            while let Some(acked) = acks.try_join_next() {
                acked.expect("ends").expect("is acknowledged");
            }
        }
        while let Some(acked) = acks.join_next().await {
            acked.expect("ends").expect("is acknowledged");
        }
    };
    tokio::join!(publishing, handling);
    let took = start.elapsed();
    bus.forget(&name).await.expect("is forgotten");
    took
}

/// So many, in parts of at most `size`.
fn batches(mut rounds: u64, size: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let batch = rounds.min(size as u64);
        rounds -= batch;
        (batch > 0).then_some(batch as usize)
    })
}

/// Reads the oldest rows and takes them off.
async fn take_many(database: &Database, count: usize) {
    let select = "SELECT position, event FROM raw_log ORDER BY position LIMIT $1";
    let count = count as i64;
    let rows: Vec<(i64, String)> = match database.engine() {
        Engine::Sqlite(sqlite) => {
            let rows: Vec<(i64, String)> =
                sqlx::query_as(select).bind(count).fetch_all(sqlite.reader()).await.expect("reads");
            let positions =
                serde_json::Value::from(rows.iter().map(|row| row.0).collect::<Vec<_>>());
            let delete = "DELETE FROM raw_log WHERE position IN (SELECT value FROM json_each($1))";
            let delete = sqlx::query(delete).bind(positions.to_string());
            delete.execute(sqlite.writer()).await.expect("deletes");
            rows
        }
        Engine::Postgres(postgres) => {
            let rows: Vec<(i64, String)> =
                sqlx::query_as(select).bind(count).fetch_all(postgres.pool()).await.expect("reads");
            let positions: Vec<_> = rows.iter().map(|row| row.0).collect();
            let delete = sqlx::query("DELETE FROM raw_log WHERE position = ANY($1)");
            delete.bind(positions).execute(postgres.pool()).await.expect("deletes");
            rows
        }
    };
    for (_, event) in rows {
        CloudEvent::from_json_slice(event.as_bytes()).expect("is an event");
    }
}

/// The rows of a publication, by hand, in one transaction.
async fn insert(database: &Database, table: &str, events: &[CloudEvent]) {
    let now = (time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000) as i64;
    match database.engine() {
        Engine::Sqlite(sqlite) => {
            // One statement, which commits by itself.
            let mut insert = sqlx::QueryBuilder::<sqlx::Sqlite>::new(format!(
                "INSERT INTO {table} (source, id, type, partition_key, recorded_at, event) ",
            ));
            insert.push_values(events, |mut row, event| {
                row.push_bind(event.source().to_owned())
                    .push_bind(event.id().to_owned())
                    .push_bind(event.event_type().to_owned())
                    .push_bind(event.partition_key().map(str::to_owned))
                    .push_bind(now)
                    .push_bind(event.to_json_string());
            });
            insert.build().execute(sqlite.writer()).await.expect("is inserted");
        }
        Engine::Postgres(postgres) => {
            let column = |of: fn(&CloudEvent) -> &str| {
                events.iter().map(|event| of(event).to_owned()).collect::<Vec<_>>()
            };
            let insert = sqlx::query(sqlx::AssertSqlSafe(format!(
                "INSERT INTO {table} (source, id, type, partition_key, recorded_at, event)
                 SELECT source, id, type, key, $6, event
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
                     AS row (source, id, type, key, event)",
            )));
            let keys = events.iter().map(|event| event.partition_key().map(str::to_owned));
            insert
                .bind(column(CloudEvent::source))
                .bind(column(CloudEvent::id))
                .bind(column(CloudEvent::event_type))
                .bind(keys.collect::<Vec<_>>())
                .bind(events.iter().map(CloudEvent::to_json_string).collect::<Vec<_>>())
                .bind(now)
                .execute(postgres.pool())
                .await
                .expect("is inserted");
        }
    }
}

/// Reads the newest row and takes it off.
async fn take(database: &Database) -> CloudEvent {
    let select = "SELECT position, event FROM raw_log ORDER BY position DESC LIMIT 1";
    let delete = "DELETE FROM raw_log WHERE position = $1";
    let (position, event): (i64, String) = match database.engine() {
        Engine::Sqlite(sqlite) => {
            let row: (i64, String) =
                sqlx::query_as(select).fetch_one(sqlite.reader()).await.expect("reads");
            let delete = sqlx::query(delete).bind(row.0);
            delete.execute(sqlite.writer()).await.expect("deletes");
            row
        }
        Engine::Postgres(postgres) => {
            let row: (i64, String) =
                sqlx::query_as(select).fetch_one(postgres.pool()).await.expect("reads");
            let delete = sqlx::query(delete).bind(row.0);
            delete.execute(postgres.pool()).await.expect("deletes");
            row
        }
    };
    assert!(position > 0);
    CloudEvent::from_json_slice(event.as_bytes()).expect("is an event")
}

/// SQLite in a file and PostgreSQL, which ends with what is answered first; with the bus's tables and
/// a log of the same columns. Both flush what they commit.
async fn databases() -> (Postgres, [(&'static str, Database); 2]) {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let sqlite = format!("sqlite://{}/bus.db", folder.display());
    let server = Postgres::start_flushing().await.unwrap_or_else(|error| panic!("{error}"));
    let postgres = server.database().await.unwrap_or_else(|error| panic!("{error}"));
    let mut opened = Vec::new();
    for (name, url) in [("SQLite", sqlite), ("PostgreSQL", postgres)] {
        let database = Database::open(&url, &Options::default()).expect("opens");
        database.migrate_schema(&SCHEMA).await.expect("migrates");
        let columns = [
            "CREATE TABLE raw_log (position INTEGER PRIMARY KEY AUTOINCREMENT,
             source TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
             partition_key TEXT, recorded_at INTEGER NOT NULL, event TEXT NOT NULL)",
            "CREATE TABLE raw_log (position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
             source TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
             partition_key TEXT, recorded_at BIGINT NOT NULL, event TEXT NOT NULL)",
        ];
        let indexes = [
            "CREATE UNIQUE INDEX raw_log_id ON raw_log (source, id)",
            "CREATE INDEX raw_log_recorded_at ON raw_log (recorded_at)",
        ];
        let columns = columns[usize::from(name == "PostgreSQL")];
        let bare = columns.replace("raw_log", "bare_log");
        for statement in [columns, &bare, indexes[0], indexes[1]] {
            let make = writing!(database, |pool| {
                sqlx::query(sqlx::AssertSqlSafe(statement)).execute(pool)
            });
            make.expect("is made");
        }
        opened.push((name, database));
    }
    (server, opened.try_into().expect("two databases"))
}

fn events(count: usize) -> Vec<CloudEvent> {
    let event = || {
        let event = CloudEvent::try_new(Uuid::now_v7().to_string(), "/bench", "order.placed");
        event.expect("is an event").with_json(serde_json::json!({
            "order_id": 42, "user_id": 7, "amount": "42.50", "note": "leave it with the neighbour",
        }))
    };
    (0..count).map(|_| event()).collect()
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

#[expect(clippy::disallowed_methods, reason = "a bench measures the real clock")]
fn now() -> Instant {
    Instant::now()
}

criterion_group!(benches, publishes, ends, flows);
criterion_main!(benches);
