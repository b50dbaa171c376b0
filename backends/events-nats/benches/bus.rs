//! The bus on NATS JetStream beside the bare client.
//!
//! Load: one publisher, one subscriber, events of about 120 bytes of JSON one at a time, and in
//! hundreds; a real `nats-server` on the same disk. Baseline: async-nats with the same messages in a
//! stream of the same settings; end to end a durable pull consumer with explicit acknowledgement.
//! Throughput: a subscriber with 64 in flight, each acknowledged by itself, behind a publisher of
//! hundreds; baseline: the same with the durable consumer, whose acknowledgements are confirmed too.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::{self, consumer::pull, stream};
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use futures::StreamExt;
use regatta_events::{CloudEvent, EventBus, GroupName, Start, Subscription};
use regatta_events_nats::{NatsBus, Options};
use regatta_testkit::Nats;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const IN_FLIGHT: usize = 64;

fn publishes(c: &mut Criterion) {
    let runtime = runtime();
    let server = runtime.block_on(Nats::start()).unwrap_or_else(|error| panic!("{error}"));
    let bus =
        runtime.block_on(async { NatsBus::try_new(Options::new(server.url())) }).expect("opens");
    let raw = runtime.block_on(Raw::open(&server));
    for batch in [1, 100] {
        let mut group = group(c, format!("bus publish, NATS, {batch} a batch"), batch);
        group.bench_function("ours", |b| {
            b.iter(|| runtime.block_on(bus.publish(&events(batch))).expect("is published"));
        });
        group.bench_function("raw async-nats", |b| {
            b.iter(|| runtime.block_on(raw.publish(&events(batch))));
        });
        group.finish();
    }
}

fn ends(c: &mut Criterion) {
    let runtime = runtime();
    let server = runtime.block_on(Nats::start()).unwrap_or_else(|error| panic!("{error}"));
    let bus =
        runtime.block_on(async { NatsBus::try_new(Options::new(server.url())) }).expect("opens");
    let raw = runtime.block_on(Raw::open(&server));
    let mut group = group(c, "bus end to end, NATS".to_owned(), 1);
    group.bench_function("ours", |b| {
        b.iter_custom(|rounds| {
            runtime.block_on(async {
                let name = format!("bench-{}", rand::random::<u64>());
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
    });
    group.bench_function("raw async-nats, durable consumer", |b| {
        b.iter_custom(|rounds| {
            runtime.block_on(async {
                let config = pull::Config {
                    durable_name: Some(format!("bench-{}", rand::random::<u64>())),
                    deliver_policy: jetstream::consumer::DeliverPolicy::New,
                    ..pull::Config::default()
                };
                let consumer = raw.stream.create_consumer(config).await.expect("is made");
                let mut messages = consumer.messages().await.expect("subscribes");
                let start = now();
                for _ in 0..rounds {
                    raw.publish(&events(1)).await;
                    let message = messages.next().await.expect("comes").expect("comes");
                    CloudEvent::from_json_slice(&message.payload).expect("is an event");
                    message.double_ack().await.expect("is acknowledged");
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

fn flows(c: &mut Criterion) {
    let runtime = runtime();
    let server = runtime.block_on(Nats::start()).unwrap_or_else(|error| panic!("{error}"));
    let bus =
        runtime.block_on(async { NatsBus::try_new(Options::new(server.url())) }).expect("opens");
    let raw = runtime.block_on(Raw::open(&server));
    let mut group = group(c, format!("bus throughput, NATS, {IN_FLIGHT} in flight"), 1);
    group.bench_function("ours", |b| {
        b.iter_custom(|rounds| runtime.block_on(flow(&bus, rounds)));
    });
    group.bench_function("raw async-nats, durable consumer", |b| {
        b.iter_custom(|rounds| runtime.block_on(raw.flow(rounds)));
    });
    group.finish();
}

/// How long so many events take from the first publication to the last acknowledgement.
async fn flow(bus: &NatsBus, rounds: u64) -> Duration {
    let name = format!("bench-{}", rand::random::<u64>());
    let mut asks = Subscription::new(GroupName::try_new(name).expect("is a name"));
    asks.start = Start::Latest;
    asks.max_in_flight = IN_FLIGHT as u32;
    let mut deliveries = bus.subscribe(asks).await.expect("subscribes");
    let start = now();
    let publishing = async {
        for batch in batches(rounds) {
            bus.publish(&events(batch)).await.expect("is published");
        }
    };
    let handling = async {
        let (mut acks, mut handled) = (JoinSet::new(), 0);
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
    start.elapsed()
}

/// So many, in hundreds.
fn batches(mut rounds: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let batch = rounds.min(100);
        rounds -= batch;
        (batch > 0).then_some(batch)
    })
}

/// The bare client, with a stream of its own.
struct Raw {
    jetstream: jetstream::Context,
    stream: stream::Stream,
}

impl Raw {
    async fn open(server: &Nats) -> Self {
        let client = async_nats::connect(server.url()).await.expect("connects");
        let jetstream = jetstream::new(client);
        let config = stream::Config {
            name: "raw".to_owned(),
            subjects: vec!["raw.>".to_owned()],
            discard: stream::DiscardPolicy::New,
            duplicate_window: Duration::from_secs(3600),
            ..stream::Config::default()
        };
        let stream = jetstream.get_or_create_stream(config).await.expect("is made");
        Self { jetstream, stream }
    }

    async fn flow(&self, rounds: u64) -> Duration {
        let config = pull::Config {
            durable_name: Some(format!("bench-{}", rand::random::<u64>())),
            deliver_policy: jetstream::consumer::DeliverPolicy::New,
            max_ack_pending: IN_FLIGHT as i64,
            ..pull::Config::default()
        };
        let consumer = self.stream.create_consumer(config).await.expect("is made");
        let messages = consumer.stream().max_messages_per_batch(IN_FLIGHT).messages();
        let mut messages = messages.await.expect("subscribes");
        let start = now();
        let publishing = async {
            for batch in batches(rounds) {
                self.publish(&events(batch)).await;
            }
        };
        let handling = async {
            let mut acks = JoinSet::new();
            for _ in 0..rounds {
                let message = messages.next().await.expect("comes").expect("comes");
                CloudEvent::from_json_slice(&message.payload).expect("is an event");
                acks.spawn(async move { message.double_ack().await });
                while let Some(acked) = acks.try_join_next() {
                    acked.expect("ends").expect("is acknowledged");
                }
            }
            while let Some(acked) = acks.join_next().await {
                acked.expect("ends").expect("is acknowledged");
            }
        };
        tokio::join!(publishing, handling);
        start.elapsed()
    }

    async fn publish(&self, events: &[CloudEvent]) {
        let mut acks = Vec::new();
        for event in events {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", event.id());
            headers.insert("Content-Type", "application/cloudevents+json");
            let text = event.to_json_string();
            let sent =
                self.jetstream.publish_with_headers("raw.order.placed", headers, text.into());
            acks.push(sent.await.expect("is sent"));
        }
        for ack in acks {
            ack.await.expect("is taken");
        }
    }
}

fn events(count: u64) -> Vec<CloudEvent> {
    let event = || {
        let id = format!("{:032x}", rand::random::<u128>());
        let event = CloudEvent::try_new(id, "/bench", "order.placed").expect("is an event");
        event.with_json(serde_json::json!({
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
