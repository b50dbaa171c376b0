//! Clients that ask as fast as they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::kv_client::KvClient;
use tokio_util::task::TaskTracker;
use tonic::transport::Channel;

/// How long one figure is taken for, and how long it runs before.
const TIME: Duration = Duration::from_secs(3);
const WARM: Duration = Duration::from_millis(500);
/// Keys that are asked for: as many as a system of some hundred services has settings.
pub(crate) const KEYS: u32 = 10_000;
pub(crate) const VALUE: [u8; 256] = [b'x'; 256];

/// What clients ask for.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    Put,
    Range,
}

/// What they got.
pub(crate) struct Outcome {
    pub(crate) per_second: f64,
    pub(crate) p99: Duration,
}

pub(crate) async fn connect(endpoint: &str) -> Channel {
    Channel::from_shared(format!("http://{endpoint}")).unwrap().connect().await.unwrap()
}

pub(crate) fn key(number: u32) -> Bytes {
    format!("/services/settings/{number:08}").into()
}

pub(crate) fn put(number: u32) -> pb::PutRequest {
    let value = Bytes::from_static(&VALUE);
    pb::PutRequest { key: key(number), value, ..<_>::default() }
}

/// Lets so many clients, each with a connection of its own, ask for a time.
pub(crate) async fn load(endpoint: &str, clients: u32, call: Call) -> Outcome {
    let is_over = Arc::new(AtomicBool::new(false));
    let channels = join_all((0..clients).map(|_| connect(endpoint))).await;
    let tasks = TaskTracker::new();
    let start = Instant::now();
    let running: Vec<_> = channels
        .into_iter()
        .enumerate()
        .map(|(number, channel)| {
            let first = u32::try_from(number).unwrap() * 7919;
            tasks.spawn(ask(KvClient::new(channel), call, first, start, Arc::clone(&is_over)))
        })
        .collect();
    tokio::time::sleep(WARM + TIME).await;
    is_over.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for task in running {
        times.extend(task.await.unwrap());
    }
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    Outcome { per_second: times.len() as f64 / TIME.as_secs_f64(), p99 }
}

async fn ask(
    mut kv: KvClient<Channel>,
    call: Call,
    mut number: u32,
    start: Instant,
    is_over: Arc<AtomicBool>,
) -> Vec<Duration> {
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        number = (number + 1) % KEYS;
        let asked = Instant::now();
        match call {
            Call::Put => _ = kv.put(put(number)).await.unwrap(),
            Call::Range => {
                let range = pb::RangeRequest { key: key(number), ..<_>::default() };
                let found = kv.range(range).await.unwrap().into_inner();
                assert_eq!(found.count, 1);
            }
        }
        let took = asked.elapsed();
        let since = start.elapsed();
        if since >= WARM && since < WARM + TIME {
            times.push(took);
        }
    }
    times
}
