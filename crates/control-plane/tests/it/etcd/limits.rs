//! What is refused because it is too much, and what an end does to streams.

use std::time::Duration;

use axum::body::Body;
use futures::FutureExt;
use http::Request;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use regatta_proto::etcdserverpb as pb;
use regatta_proto::v3electionpb::LeaderRequest;
use regatta_proto::v3lockpb::LockRequest;
use regatta_testkit::wait_until;
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tonic::Code;

use super::client::{Client, assert_refused, bytes, put, range, watch};
use crate::server::{LIMIT, Server};

async fn limited(
    change: impl FnOnce(&mut regatta_control_plane::EtcdSettings),
) -> (Server, Client) {
    let server = Server::with(|settings| {
        settings.etcd.listen = Some(([127, 0, 0, 1], 0).into());
        change(&mut settings.etcd);
    })
    .await;
    let client = Client::connect(&server.etcd_endpoint()).await;
    (server, client)
}

#[tokio::test]
async fn a_write_that_is_too_large_is_refused_and_says_so() {
    let (_server, client) = limited(|etcd| etcd.max_request_bytes = 1000).await;
    client.put("fits", &"x".repeat(900)).await;
    let large = client.kv.clone().put(put("large", &"x".repeat(1100))).await;
    assert_refused(large, Code::InvalidArgument, "etcdserver: request is too large");
    let huge = client.kv.clone().put(put("huge", &"x".repeat(700_000))).await.unwrap_err();
    assert_eq!(huge.code(), Code::ResourceExhausted, "{huge}");
}

#[tokio::test]
async fn leases_and_watches_have_a_most() {
    let (_server, client) = limited(|etcd| (etcd.max_leases, etcd.max_watchers) = (1, 1)).await;
    let grant = async || {
        let request = pb::LeaseGrantRequest { id: 0, ttl: 100 };
        client.lease.clone().lease_grant(request).await
    };
    grant().await.unwrap();
    assert_eq!(grant().await.unwrap_err().code(), Code::ResourceExhausted);
    let first = client.watch(watch("a", "")).await;
    let mut second = client.watcher();
    second.create(watch("b", "")).await;
    let refused = second.next().await;
    assert!(
        refused.canceled && refused.cancel_reason.contains("`etcd.max_watchers`"),
        "{refused:?}"
    );
    drop(first);
}

#[tokio::test]
async fn locks_and_elections_watch_no_more_than_is_allowed() {
    let (_server, client) = limited(|etcd| etcd.max_watchers = 1).await;
    let only = client.watch(watch("a", "")).await;
    let lock = async || {
        let request = LockRequest { name: bytes("lock"), lease: 0 };
        client.lock.clone().lock(request).await.map(tonic::Response::into_inner)
    };
    let too_many = "etcdserver: too many watchers; raise `etcd.max_watchers`";
    let held = lock().await.unwrap();
    assert_refused(lock().await, Code::ResourceExhausted, too_many);
    let observe = async || {
        let request = LeaderRequest { name: bytes("e") };
        client.election.clone().observe(request).await.map(|_| ())
    };
    assert_refused(observe().await, Code::ResourceExhausted, too_many);
    // Who is refused has left the queue, and its lease with it.
    let leases = async || {
        let request = pb::LeaseLeasesRequest {};
        client.lease.clone().lease_leases(request).await.unwrap().into_inner().leases.len()
    };
    wait_until("one lease", LIMIT, async || leases().await == 1).await;
    assert_eq!(client.range(range("lock/", "lock0")).await.kvs[0].key, held.key);

    drop(only);
    wait_until("room for one", LIMIT, async || observe().await.is_ok()).await;
}

#[tokio::test]
async fn the_lease_of_a_caller_that_went_away_while_it_waited_ends() {
    let (_server, client) = limited(|_| ()).await;
    let lock = || LockRequest { name: bytes("lock"), lease: 0 };
    let held = client.lock.clone().lock(lock()).await.unwrap().into_inner();
    let leases = async || {
        let request = pb::LeaseLeasesRequest {};
        client.lease.clone().lease_leases(request).await.unwrap().into_inner().leases.len()
    };
    let mut calls = client.lock.clone();
    let waiting = calls.lock(lock());
    tokio::select! {
        _ = waiting => panic!("one at a time"),
        () = wait_until("a second lease", LIMIT, async || leases().await == 2) => (),
    }
    wait_until("it ends", LIMIT, async || leases().await == 1).await;
    let queued = client.range(range("lock/", "lock0")).await;
    assert_eq!((queued.count, &queued.kvs[0].key), (1, &held.key));
}

#[tokio::test]
async fn a_full_store_says_so_until_there_is_room() {
    let (_server, client) = limited(|etcd| etcd.quota_bytes = 20_000).await;
    let mut refused = None;
    for _ in 0..100 {
        if let Err(status) = client.kv.clone().put(put("a", &"x".repeat(500))).await {
            refused = Some(status);
            break;
        }
    }
    let refused = refused.expect("the quota ends the puts");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "etcdserver: mvcc: database space exceeded");
    let revision = client.revision().await;
    let compact = pb::CompactionRequest { revision, physical: true };
    client.kv.clone().compact(compact).await.unwrap();
    let disarm = pb::AlarmRequest {
        action: pb::alarm_request::AlarmAction::Deactivate.into(),
        alarm: pb::AlarmType::Nospace.into(),
        // It is the member's own, as with etcd.
        member_id: client.range(range("a", "")).await.header.unwrap().member_id,
    };
    client.maintenance.clone().alarm(disarm).await.unwrap();
    client.put("a", "fits again").await;
}

#[tokio::test]
async fn old_history_goes_when_it_takes_too_much() {
    let (_server, client) = limited(|etcd| etcd.max_history_bytes = 100_000).await;
    for _ in 0..500 {
        client.put("a", &"x".repeat(500)).await;
    }
    let revision = client.revision().await;
    let at = async |revision| {
        let request = pb::RangeRequest { revision, ..super::client::range("a", "") };
        client.kv.clone().range(request).await
    };
    assert!(at(2).await.is_err());
    assert!(at(revision - 20).await.is_ok());
}

#[tokio::test]
async fn an_end_ends_the_streams() {
    let (server, client) = limited(|_| ()).await;
    let _watching = client.watch(watch("a", "")).await;
    server.stop().await;
}

#[tokio::test]
async fn an_order_that_is_none_is_refused_as_etcd_does_since_3_5() {
    let (_server, client) = limited(|_| ()).await;
    let request = pb::RangeRequest { sort_order: 9, ..super::client::range("a", "") };
    let refused = client.kv.clone().range(request).await;
    assert_refused(refused, Code::InvalidArgument, "etcdserver: invalid sort option");
}

/// A call whose message was half sent held its stream and its memory for ever.
#[tokio::test]
async fn half_a_message_is_given_up_and_streams_are_not() {
    let server = Server::with(|settings| {
        settings.etcd.listen = Some(([127, 0, 0, 1], 0).into());
        settings.body_read_timeout = Duration::from_millis(50);
    })
    .await;
    let stream = TcpStream::connect(server.etcd_endpoint()).await.unwrap();
    let (mut calls, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio_util::task::TaskTracker::new().spawn(connection);
    let begun = |path: &str, bytes: &'static [u8]| {
        let bytes = tokio_stream::iter([Ok::<_, std::io::Error>(bytes)]);
        Request::post(format!("http://{}{path}", server.etcd_endpoint()))
            .header("content-type", "application/grpc")
            .body(Body::from_stream(bytes.chain(tokio_stream::pending())))
            .unwrap()
    };
    let streamed = calls.send_request(begun("/etcdserverpb.Lease/LeaseKeepAlive", &[0; 3]));
    let mut streamed = streamed.await.unwrap();
    // Half of a head, half of a message, and a whole one without its end.
    for bytes in [&[0; 3][..], &[0, 0, 0, 0, 9, 10], &[0; 5]] {
        for path in [
            "/etcdserverpb.KV/Put",
            "/etcdserverpb.Lease/LeaseGrant",
            "/etcdserverpb.Maintenance/Snapshot",
            "/v3lockpb.Lock/Lock",
        ] {
            let answer = calls.send_request(begun(path, bytes));
            let answer = tokio::time::timeout(LIMIT, answer).await.expect(path).unwrap();
            assert_eq!(answer.headers()["grpc-status"], "4", "{path} {bytes:?}");
            let text = answer.headers()["grpc-message"].to_str().unwrap();
            assert_eq!(text.replace("%20", " "), "the body took longer than 50ms; send it again");
        }
    }
    assert!(streamed.frame().now_or_never().is_none(), "a stream lasts until somebody ends it");
    let url = format!("http://{}/v3/kv/put", server.etcd_endpoint());
    let half = Request::post(url).body(begun("", b"{").into_body()).unwrap();
    assert_eq!(calls.send_request(half).await.unwrap().status(), 408);
}

#[tokio::test]
async fn a_method_that_is_not_offered_is_unimplemented_and_named() {
    let (server, _client) = limited(|_| ()).await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for (path, text) in [
        (
            "etcdserverpb.Auth/UserList",
            "unknown method UserList; users are in the access file, see `--access`",
        ),
        ("etcdserverpb.KV/RangeStream", "unknown method RangeStream for service etcdserverpb.KV"),
        (
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "unknown method ServerReflectionInfo for service grpc.reflection.v1.ServerReflection",
        ),
    ] {
        let url = format!("http://{}/{path}", server.etcd_endpoint());
        let call = client.post(url).header("content-type", "application/grpc").body(vec![0; 5]);
        let answer = call.send().await.unwrap();
        assert_eq!(
            (&answer.headers()["grpc-status"], &answer.headers()["grpc-message"]),
            (&"12".parse().unwrap(), &text.parse().unwrap())
        );
    }
}
