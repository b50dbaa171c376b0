//! What is refused because it is too much, and what an end does to streams.

use regatta_proto::etcdserverpb as pb;
use tonic::Code;

use super::client::{Client, assert_refused, put, range, watch};
use crate::server::Server;

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
    assert!(refused.canceled && refused.cancel_reason.contains("max_watchers"), "{refused:?}");
    drop(first);
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
async fn pages_in_plain_http_say_the_version_and_the_health() {
    let (server, _client) = limited(|_| ()).await;
    let page = async |path: &str| {
        let url = format!("http://{}{path}", server.etcd_endpoint());
        server.client.get(url).send().await.unwrap().text().await.unwrap()
    };
    assert_eq!(page("/health").await, r#"{"health":"true"}"#);
    assert!(page("/version").await.contains("\"etcdserver\":\"3."));
}

#[tokio::test]
async fn an_order_that_is_none_is_refused_as_etcd_does_since_3_5() {
    let (_server, client) = limited(|_| ()).await;
    let request = pb::RangeRequest { sort_order: 9, ..super::client::range("a", "") };
    let refused = client.kv.clone().range(request).await;
    assert_refused(refused, Code::InvalidArgument, "etcdserver: invalid sort option");
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let (server, _client) = limited(|_| ()).await;
    let url = format!("http://{}/etcdserverpb.Auth/AuthEnable", server.etcd_endpoint());
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let call = client.post(url).header("content-type", "application/grpc").body(vec![0; 5]);
    let answer = call.send().await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "12");
}
