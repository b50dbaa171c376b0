//! Access control of what lasts: watches, queues, keep-alives; and of calls in JSON.

use regatta_proto::etcdserverpb as pb;
use regatta_proto::v3electionpb::LeaderRequest;
use regatta_proto::v3electionpb::election_client::ElectionClient;
use regatta_proto::v3lockpb::LockRequest;
use regatta_proto::v3lockpb::lock_client::LockClient;
use regatta_testkit::wait_until;
use serde_json::json;
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::access::{DENIED, ROOT, SHOP, Token, channel, log_in, server, with_token, write};
use crate::etcd::client::{assert_refused, bytes, put, range, watch};
use crate::server::LIMIT;

#[tokio::test]
async fn a_stream_ends_when_its_callers_rules_do() {
    let (server, folder) = server().await;
    let token = log_in(&server, "shop", "ahoy").await.unwrap();
    let client = async |token: &str| {
        let token = Token(Some(token.parse().unwrap()));
        let channel = channel(&server).await;
        (
            pb::watch_client::WatchClient::with_interceptor(channel.clone(), token.clone()),
            pb::lease_client::LeaseClient::with_interceptor(channel, token),
        )
    };
    let requests = |keys: [&str; 2]| {
        let create = keys.map(|key| pb::WatchRequest {
            request_union: Some(pb::watch_request::RequestUnion::CreateRequest(watch(key, ""))),
        });
        tokio_stream::iter(create).chain(tokio_stream::pending())
    };
    let mut by_token = client(SHOP).await.0.watch(requests(["shop/a", "shop/b"])).await.unwrap();
    let mut by_password =
        client(&token).await.0.watch(requests(["shop/a", "shop/b"])).await.unwrap();
    let mut root = client(ROOT).await.0.watch(requests(["shop/a", "bank/a"])).await.unwrap();
    for stream in [&mut by_token, &mut by_password, &mut root] {
        for _ in 0..2 {
            assert!(stream.get_mut().message().await.unwrap().unwrap().created);
        }
    }
    let (kept, kept_alive) = tokio::sync::mpsc::channel(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(kept_alive);
    let opened =
        async { client(&token).await.1.lease_keep_alive(stream).await.unwrap().into_inner() };
    kept.send(pb::LeaseKeepAliveRequest { id: 9 }).await.unwrap();
    let mut alive = opened.await;
    assert_eq!(alive.message().await.unwrap().unwrap().ttl, 0);

    // Another password, and other keys for the token.
    write(folder.path(), "other", "bank/");
    let reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
    for id in 0..2 {
        let ended = in_time(by_token.get_mut().message()).await.unwrap().unwrap();
        let cancelled = (ended.watch_id, ended.canceled, ended.cancel_reason.as_str());
        assert_eq!(cancelled, (id, true, reason));
    }
    let invalid = "etcdserver: invalid auth token";
    let ended = in_time(by_password.get_mut().message()).await;
    assert_refused(ended, Code::Unauthenticated, invalid);
    kept.send(pb::LeaseKeepAliveRequest { id: 9 }).await.unwrap();
    assert_refused(in_time(alive.message()).await, Code::Unauthenticated, invalid);
    // Whose rules are as they were goes on.
    with_token(&server, Some(ROOT)).await.put(put("shop/a", "1")).await.unwrap();
    let goes_on = in_time(root.get_mut().message()).await.unwrap().unwrap();
    assert!(!goes_on.canceled && goes_on.events.len() == 1, "{goes_on:?}");
}

#[tokio::test]
async fn who_waits_for_a_lock_or_observes_is_turned_away_when_the_rules_are() {
    let (server, folder) = server().await;
    let token = |token: &str| Token(Some(token.parse().unwrap()));
    let channel = channel(&server).await;
    let lock = |by: &str| LockClient::with_interceptor(channel.clone(), token(by));
    let request = || LockRequest { name: bytes("shop/lock"), lease: 0 };
    let held = lock(ROOT).lock(request()).await.unwrap().into_inner();
    let mut election = ElectionClient::with_interceptor(channel.clone(), token(SHOP));
    let observed = election.observe(LeaderRequest { name: bytes("shop/lock") }).await;
    let mut observed = observed.unwrap().into_inner();
    assert_eq!(observed.message().await.unwrap().unwrap().kv.unwrap().key, held.key);
    let mut by_shop = lock(SHOP);
    let waiting = by_shop.lock(request());
    let mut root = with_token(&server, Some(ROOT)).await;
    let mut waiting = std::pin::pin!(waiting);
    tokio::select! {
        _ = &mut waiting => panic!("one at a time"),
        () = wait_until("it to queue", LIMIT, async || {
            let queue = root.range(range("shop/lock/", "shop/lock0")).await.unwrap();
            queue.into_inner().count == 2
        }) => (),
    }
    write(folder.path(), "ahoy", "bank/");
    assert_refused(in_time(waiting).await, DENIED.0, DENIED.1);
    assert_refused(in_time(observed.message()).await, DENIED.0, DENIED.1);
}

#[tokio::test]
async fn the_json_gateway_asks_who_it_is_too() {
    let (server, _folder) = server().await;
    let post = async |path: &str, body: serde_json::Value, token: Option<&str>| {
        let url = format!("http://{}{path}", server.etcd_endpoint());
        // By a name of its own: with access control a page has no token.
        let request = server.client.post(url).json(&body).header("host", "etcd.example.com");
        let request =
            token.iter().fold(request, |request, token| request.header("Authorization", *token));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    let login = json!({ "name": "shop", "password": "ahoy" });
    let (status, answer) = post("/v3/auth/authenticate", login, None).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["token"].as_str().unwrap().to_owned();
    // shop/a and bank/a.
    let [own, other] = ["c2hvcC9h", "YmFuay9h"].map(|key| json!({ "key": key }));
    assert_eq!(post("/v3/kv/put", own.clone(), Some(&token)).await.0, 200);
    let (status, answer) = post("/v3/kv/put", other, Some(&token)).await;
    let denied = json!({ "code": 7, "error": DENIED.1, "message": DENIED.1 });
    assert_eq!((status, answer), (403, denied));
    assert_eq!(post("/v3/kv/put", own.clone(), None).await.0, 400);
    assert_eq!(post("/v3/kv/put", own, Some("other")).await.0, 401);
    let (status, answer) = post("/v3/maintenance/snapshot", json!({}), Some(&token)).await;
    assert_eq!((status, &answer["error"]["grpc_code"]), (403, &json!(7)));
    let login = json!({ "name": "shop", "password": "no" });
    assert_eq!(post("/v3/auth/authenticate", login, Some("ended")).await.0, 400);
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("an answer in time")
}
