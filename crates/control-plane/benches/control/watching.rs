//! From a put to the event at every watcher.

use std::time::{Duration, Instant};

use bytes::Bytes;
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::kv_client::KvClient;
use regatta_proto::etcdserverpb::watch_client::WatchClient;
use regatta_proto::etcdserverpb::watch_request::RequestUnion;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;

use crate::client::connect;
use crate::report::{Better, Report};
use crate::server::Server;

const WATCHERS: [usize; 3] = [1, 100, 1000];
/// Watches of other prefixes, beside the one whose time is taken.
const PREFIXES: [usize; 2] = [1000, 10_000];
/// Watchers of one connection, as those of one process.
const PER_CONNECTION: usize = 50;
const PUTS: usize = 100;
const KEY: &[u8] = b"/watched";

pub(crate) async fn measure(server: &Server, report: &mut Report) {
    for watchers in WATCHERS {
        let mut times = latencies(server, watchers).await;
        times.sort_unstable();
        let median = times[times.len() / 2].as_secs_f64() * 1e3;
        let what = format!("put to event, median, {watchers} watchers");
        report.add(server.kind, what, "ms", Better::Less, median);
        let p99 = times[times.len() * 99 / 100].as_secs_f64() * 1e3;
        let what = format!("put to event, p99, {watchers} watchers");
        report.add(server.kind, what, "ms", Better::Less, p99);
    }
    for prefixes in PREFIXES {
        let _watches = watch_prefixes(server, prefixes).await;
        let mut times = latencies(server, 1).await;
        times.sort_unstable();
        let median = times[times.len() / 2].as_secs_f64() * 1e3;
        let what = format!("put to event, median, beside {prefixes} watched prefixes");
        report.add(server.kind, what, "ms", Better::Less, median);
    }
}

/// Watches prefixes that nothing is put under, all on one stream; they last as long as it is held.
async fn watch_prefixes(
    server: &Server,
    count: usize,
) -> (mpsc::Sender<pb::WatchRequest>, tonic::Streaming<pb::WatchResponse>) {
    let mut client = WatchClient::new(connect(&server.endpoint).await);
    let (requests, stream) = mpsc::channel(count);
    for number in 0..count {
        let (key, range_end) = (format!("/other/{number:05}/"), format!("/other/{number:05}0"));
        let (key, range_end) = (key.into(), range_end.into());
        let create = pb::WatchCreateRequest { key, range_end, ..<_>::default() };
        let request_union = Some(RequestUnion::CreateRequest(create));
        requests.send(pb::WatchRequest { request_union }).await.unwrap();
    }
    let mut answers = client.watch(ReceiverStream::new(stream)).await.unwrap().into_inner();
    for _ in 0..count {
        assert!(answers.message().await.unwrap().unwrap().created);
    }
    (requests, answers)
}

async fn latencies(server: &Server, watchers: usize) -> Vec<Duration> {
    let (seen, mut events) = mpsc::channel(watchers * 2);
    let tasks = TaskTracker::new();
    let mut left = watchers;
    while left > 0 {
        let here = left.min(PER_CONNECTION);
        left -= here;
        watch(server, here, seen.clone(), &tasks).await;
    }
    let mut kv = KvClient::new(connect(&server.endpoint).await);
    let mut times = Vec::new();
    for number in 0..PUTS {
        let value = Bytes::from(number.to_string());
        let request = pb::PutRequest { key: KEY.into(), value, ..<_>::default() };
        let asked = Instant::now();
        // The event may come before the put's answer.
        let put = async { kv.put(request).await.unwrap() };
        let all = async {
            let mut times = Vec::with_capacity(watchers);
            while times.len() < watchers {
                let at: Instant = events.recv().await.unwrap();
                times.push(at - asked);
            }
            times
        };
        let (_, round) = tokio::join!(put, all);
        times.extend(round);
    }
    times
}

/// One stream with so many watches; each event is told with the moment it came.
async fn watch(server: &Server, count: usize, seen: mpsc::Sender<Instant>, tasks: &TaskTracker) {
    let mut client = WatchClient::new(connect(&server.endpoint).await);
    let (requests, stream) = mpsc::channel(count);
    for _ in 0..count {
        let create = pb::WatchCreateRequest { key: KEY.into(), ..<_>::default() };
        let request_union = Some(RequestUnion::CreateRequest(create));
        requests.send(pb::WatchRequest { request_union }).await.unwrap();
    }
    let mut answers = client.watch(ReceiverStream::new(stream)).await.unwrap().into_inner();
    for _ in 0..count {
        assert!(answers.message().await.unwrap().unwrap().created);
    }
    tasks.spawn(async move {
        // Held, so that the stream goes on.
        let _requests = requests;
        while let Ok(Some(answer)) = answers.message().await {
            for _ in answer.events {
                if seen.send(Instant::now()).await.is_err() {
                    return;
                }
            }
        }
    });
}
