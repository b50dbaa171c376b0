//! The outbox relay beside the same work by hand.
//!
//! Load: 1,000 messages of about 120 bytes of JSON in the outbox, until none is left; SQLite in a file and
//! PostgreSQL, which flush each commit, and a `nats-server`, on the same disk. Baselines, a hundred at a
//! time: SELECT and DELETE in a transaction (beside a bus in memory), and in between, to NATS, a
//! publication of each with async-nats whose acknowledgements are awaited together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::{self, stream};
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use regatta_database::{Database, Options, in_transaction};
use regatta_events::{CloudEvent, EventBus, MemoryBus};
use regatta_events_nats::NatsBus;
use regatta_eventstore::{
    Append, EventStore, Expected, NewEvent, Outbox, Relay, RelaySettings, StreamId,
};
use regatta_eventstore_sql::{SCHEMA, SqlStore};
use regatta_testkit::{Nats, Postgres};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const MESSAGES: u64 = 1000;

fn relays(c: &mut Criterion) {
    let runtime = runtime();
    // What hears a database's news is given back on the runtime.
    let _inside = runtime.enter();
    let (_server, databases) = runtime.block_on(databases());
    for (engine, database) in &databases {
        let store = Arc::new(SqlStore::new(database));
        let mut group = group(c, format!("outbox relay, {engine}"));
        group.bench_function("ours", |b| {
            let bus = || Arc::new(MemoryBus::default()) as Arc<dyn EventBus>;
            b.iter_custom(|rounds| runtime.block_on(relay(&store, bus, rounds)));
        });
        group.bench_function("raw SELECT and DELETE by hundreds", |b| {
            b.iter_custom(|rounds| runtime.block_on(by_hand(&store, database, None, rounds)));
        });
        group.finish();
    }
}

fn relays_to_nats(c: &mut Criterion) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let (_server, databases) = runtime.block_on(databases());
    let nats = runtime.block_on(Nats::start()).unwrap_or_else(|error| panic!("{error}"));
    let options = regatta_events_nats::Options::new(nats.url());
    let bus: Arc<dyn EventBus> = Arc::new(NatsBus::try_new(options).expect("opens"));
    let jetstream = runtime.block_on(stream(&nats));
    for (engine, database) in &databases {
        let store = Arc::new(SqlStore::new(database));
        let mut group = group(c, format!("outbox relay to NATS, {engine}"));
        group.bench_function("ours", |b| {
            b.iter_custom(|rounds| runtime.block_on(relay(&store, || bus.clone(), rounds)));
        });
        group.bench_function("raw SELECT, async-nats, DELETE by hundreds", |b| {
            let jetstream = Some(&jetstream);
            b.iter_custom(|rounds| runtime.block_on(by_hand(&store, database, jetstream, rounds)));
        });
        group.finish();
    }
}

/// How long relays take until the outbox is empty, so many times.
async fn relay(
    store: &Arc<SqlStore>,
    bus: impl Fn() -> Arc<dyn EventBus>,
    rounds: u64,
) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        enqueue(store).await;
        let drain = CancellationToken::new();
        let start = now();
        let relay = Relay::new(store.clone(), bus(), RelaySettings::default());
        let relaying = relay.run(drain.clone());
        let watching = async {
            while store.backlog().await.expect("counts").0 > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            took += start.elapsed();
            drain.cancel();
        };
        tokio::join!(relaying, watching).0.expect("its settings are in range");
    }
    took
}

async fn by_hand(
    store: &SqlStore,
    database: &Database,
    jetstream: Option<&jetstream::Context>,
    rounds: u64,
) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        enqueue(store).await;
        let start = now();
        while take(database, jetstream).await > 0 {}
        took += start.elapsed();
    }
    took
}

async fn enqueue(store: &SqlStore) {
    let payload = json!({
        "order_id": 42, "user_id": 7, "amount": "42.50", "note": "leave it with the neighbour",
    });
    let stream = StreamId::try_new("order", Uuid::now_v7()).expect("is a stream");
    let event = NewEvent::new(Uuid::now_v7(), "OrderPlaced", payload.clone());
    let mut append = Append::new(stream, Expected::Any, vec![event]);
    append.outbox = (0..MESSAGES)
        .map(|_| {
            let id = Uuid::now_v7().to_string();
            let event = CloudEvent::try_new(id, "/bench", "order.placed").expect("is an event");
            event.with_json(payload.clone())
        })
        .collect();
    store.append(&append).await.expect("is appended");
}

/// Reads the oldest hundred messages, publishes them, and takes them off.
async fn take(database: &Database, jetstream: Option<&jetstream::Context>) -> usize {
    let mut transaction = database.begin().await.expect("begins");
    let select = "SELECT number, event FROM regatta_outbox ORDER BY number LIMIT 100";
    let rows: Vec<(i64, String)> = in_transaction!(&mut transaction, |connection| {
        sqlx::query_as(select).fetch_all(connection)
    })
    .expect("reads");
    let event =
        |row: &(i64, String)| CloudEvent::from_json_slice(row.1.as_bytes()).expect("is an event");
    let events: Vec<_> = rows.iter().map(event).collect();
    if let Some(jetstream) = jetstream {
        publish(jetstream, &events).await;
    }
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return 0 };
    let delete = "DELETE FROM regatta_outbox WHERE number BETWEEN $1 AND $2 RETURNING number";
    let gone: Vec<(i64,)> = in_transaction!(&mut transaction, |connection| {
        sqlx::query_as(delete).bind(first.0).bind(last.0).fetch_all(connection)
    })
    .expect("deletes");
    transaction.commit().await.expect("commits");
    gone.len()
}

async fn publish(jetstream: &jetstream::Context, events: &[CloudEvent]) {
    let mut acks = Vec::new();
    for event in events {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", event.id());
        headers.insert("Content-Type", "application/cloudevents+json");
        let text = event.to_json_string();
        let sent = jetstream.publish_with_headers("raw.order.placed", headers, text.into());
        acks.push(sent.await.expect("is sent"));
    }
    for ack in acks {
        ack.await.expect("is taken");
    }
}

/// A stream with the settings of the bus's.
async fn stream(server: &Nats) -> jetstream::Context {
    let client = async_nats::connect(server.url()).await.expect("connects");
    let jetstream = jetstream::new(client);
    let config = stream::Config {
        name: "raw".to_owned(),
        subjects: vec!["raw.>".to_owned()],
        discard: stream::DiscardPolicy::New,
        duplicate_window: Duration::from_secs(3600),
        ..stream::Config::default()
    };
    jetstream.get_or_create_stream(config).await.expect("is made");
    jetstream
}

/// SQLite in a file and PostgreSQL, which ends with what is answered first, with the store's tables.
async fn databases() -> (Postgres, Vec<(&'static str, Database)>) {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let sqlite = format!("sqlite://{}/store.db", folder.display());
    let server = Postgres::start_flushing().await.unwrap_or_else(|error| panic!("{error}"));
    let postgres = server.database().await.unwrap_or_else(|error| panic!("{error}"));
    let mut opened = Vec::new();
    for (name, url) in [("SQLite", sqlite), ("PostgreSQL", postgres)] {
        let database = Database::open(&url, &Options::default()).expect("opens");
        database.migrate_schema(&SCHEMA).await.expect("migrates");
        opened.push((name, database));
    }
    (server, opened)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts")
}

fn group(c: &mut Criterion, name: String) -> BenchmarkGroup<'_, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(MESSAGES)).sample_size(10);
    group.sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the real clock")]
fn now() -> Instant {
    Instant::now()
}

criterion_group!(benches, relays, relays_to_nats);
criterion_main!(benches);
