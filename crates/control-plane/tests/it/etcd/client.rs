//! Clients of all services, and the words that the checks are written in.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::cluster_client::ClusterClient;
use regatta_proto::etcdserverpb::kv_client::KvClient;
use regatta_proto::etcdserverpb::lease_client::LeaseClient;
use regatta_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use regatta_proto::etcdserverpb::watch_client::WatchClient;
use regatta_proto::mvccpb;
use regatta_proto::v3electionpb::election_client::ElectionClient;
use regatta_proto::v3lockpb::lock_client::LockClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_client::HealthClient;

use crate::server::LIMIT;

/// A client of every service.
#[derive(Clone)]
pub(crate) struct Client {
    /// Such as `127.0.0.1:2379`.
    pub(crate) endpoint: String,
    pub(crate) kv: KvClient<Channel>,
    pub(crate) lease: LeaseClient<Channel>,
    pub(crate) cluster: ClusterClient<Channel>,
    pub(crate) maintenance: MaintenanceClient<Channel>,
    pub(crate) lock: LockClient<Channel>,
    pub(crate) election: ElectionClient<Channel>,
    pub(crate) health: HealthClient<Channel>,
    watch: WatchClient<Channel>,
}

/// A stream of watches.
pub(crate) struct Watcher {
    requests: mpsc::Sender<pb::WatchRequest>,
    answers: Answers,
}

/// etcd begins to answer a call with its first message, so waiting for the beginning comes later.
enum Answers {
    Opening(BoxFuture<'static, Result<Streaming<pb::WatchResponse>, Status>>),
    Open(Box<Streaming<pb::WatchResponse>>),
}

impl Client {
    pub(crate) async fn connect(endpoint: &str) -> Self {
        Self::try_connect(endpoint).await.unwrap()
    }

    pub(crate) async fn try_connect(endpoint: &str) -> Result<Self, tonic::transport::Error> {
        let channel = Channel::from_shared(format!("http://{endpoint}")).unwrap();
        let channel = channel.connect().await?;
        Ok(Self {
            endpoint: endpoint.to_owned(),
            kv: KvClient::new(channel.clone()),
            lease: LeaseClient::new(channel.clone()),
            cluster: ClusterClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel.clone()),
            lock: LockClient::new(channel.clone()),
            election: ElectionClient::new(channel.clone()),
            health: HealthClient::new(channel.clone()),
            watch: WatchClient::new(channel),
        })
    }

    /// Puts and answers the revision.
    pub(crate) async fn put(&self, key: &str, value: &str) -> i64 {
        let request = put(key, value);
        let response = self.kv.clone().put(request).await.unwrap().into_inner();
        response.header.unwrap().revision
    }

    /// Puts under a lease.
    pub(crate) async fn put_with(&self, key: &str, lease: i64) -> Result<i64, Status> {
        let request = pb::PutRequest { lease, ..put(key, "leased") };
        let response = self.kv.clone().put(request).await?.into_inner();
        Ok(response.header.unwrap().revision)
    }

    pub(crate) async fn delete(&self, key: &str, range_end: &str) -> pb::DeleteRangeResponse {
        self.kv.clone().delete_range(delete(key, range_end)).await.unwrap().into_inner()
    }

    pub(crate) async fn range(&self, request: pb::RangeRequest) -> pb::RangeResponse {
        self.kv.clone().range(request).await.unwrap().into_inner()
    }

    /// The value of a key.
    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        let found = self.range(range(key, "")).await.kvs;
        found.first().map(|found| text(&found.value))
    }

    /// The latest revision.
    pub(crate) async fn revision(&self) -> i64 {
        self.range(range("none", "")).await.header.unwrap().revision
    }

    pub(crate) fn watcher(&self) -> Watcher {
        let (requests, stream) = mpsc::channel(16);
        let mut call = self.watch.clone().max_decoding_message_size(usize::MAX);
        let open = async move { Ok(call.watch(ReceiverStream::new(stream)).await?.into_inner()) };
        Watcher { requests, answers: Answers::Opening(open.boxed()) }
    }

    /// A stream with one watch on it, whose `created` was read.
    pub(crate) async fn watch(&self, create: pb::WatchCreateRequest) -> Watcher {
        let mut watcher = self.watcher();
        watcher.create(create).await;
        let created = watcher.next().await;
        assert!(created.created && !created.canceled, "{created:?}");
        watcher
    }

    /// Waits until a key is gone.
    pub(crate) async fn until_gone(&self, key: &str) {
        regatta_testkit::wait_until(key, LIMIT, async || self.get(key).await.is_none()).await;
    }
}

impl Watcher {
    pub(crate) async fn send(&mut self, request: pb::watch_request::RequestUnion) {
        self.requests.send(pb::WatchRequest { request_union: Some(request) }).await.unwrap();
    }

    pub(crate) async fn create(&mut self, create: pb::WatchCreateRequest) {
        self.send(pb::watch_request::RequestUnion::CreateRequest(create)).await;
    }

    /// The next answer.
    pub(crate) async fn next(&mut self) -> pb::WatchResponse {
        let next = tokio::time::timeout(LIMIT, self.answer()).await;
        next.expect("an answer in time").unwrap().expect("the stream goes on")
    }

    /// The next answer, however late; none when the stream has ended.
    pub(crate) async fn answer(&mut self) -> Result<Option<pb::WatchResponse>, Status> {
        if let Answers::Opening(opening) = &mut self.answers {
            self.answers = Answers::Open(Box::new(opening.await?));
        }
        match &mut self.answers {
            Answers::Open(answers) => answers.message().await,
            Answers::Opening(_) => unreachable!("opened above"),
        }
    }

    /// As many events as are named, shown as text, from as many answers as it takes.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.next().await.events.iter().map(show));
        }
        events
    }

    /// Whether nothing comes for a moment.
    pub(crate) async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(200), self.answer()).await.is_err()
    }
}

/// An event in a word: `+key=value` or `-key`.
pub(crate) fn show(event: &mvccpb::Event) -> String {
    let kv = event.kv.as_ref().unwrap();
    match event.r#type() {
        mvccpb::event::EventType::Put => format!("+{}={}", text(&kv.key), text(&kv.value)),
        mvccpb::event::EventType::Delete => format!("-{}", text(&kv.key)),
    }
}

pub(crate) fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn range(key: &str, range_end: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: bytes(key), range_end: bytes(range_end), ..<_>::default() }
}

pub(crate) fn put(key: &str, value: &str) -> pb::PutRequest {
    pb::PutRequest { key: bytes(key), value: bytes(value), ..<_>::default() }
}

pub(crate) fn delete(key: &str, range_end: &str) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest { key: bytes(key), range_end: bytes(range_end), ..<_>::default() }
}

pub(crate) fn watch(key: &str, range_end: &str) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { key: bytes(key), range_end: bytes(range_end), ..<_>::default() }
}

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// The keys of an answer, joined.
pub(crate) fn keys(response: &pb::RangeResponse) -> String {
    let keys: Vec<_> = response.kvs.iter().map(|kv| text(&kv.key)).collect();
    keys.join(" ")
}

/// Checks a refusal's code and text, which clients compare.
pub(crate) fn assert_refused<T: std::fmt::Debug>(
    result: Result<T, Status>,
    code: Code,
    message: &str,
) {
    let status = result.unwrap_err();
    assert_eq!((status.code(), status.message()), (code, message));
}
