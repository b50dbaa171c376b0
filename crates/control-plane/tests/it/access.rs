//! Access control, seen from clients of both interfaces.

use std::path::Path;

use regatta_control_plane::{
    BindError, ControlPlane, InvalidSettings, Secret, Settings, hash_password, hash_token,
};
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::auth_client::AuthClient;
use regatta_testkit::{etcdctl, wait_until};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::api::Answer;
use crate::etcd::client::{assert_refused, delete, put, range, watch};
use crate::server::{LIMIT, Server};

pub(crate) const SHOP: &str = "shop-token";
pub(crate) const ROOT: &str = "root-token";

/// A server that knows a token and a user of the shop, and one of each who may do everything.
pub(crate) async fn server() -> (Server, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "ahoy", "shop/");
    let file = folder.path().join("access.yaml");
    let server = Server::with(|settings| {
        settings.access = Some(file);
        settings.etcd.listen = Some(([127, 0, 0, 1], 0).into());
    });
    (server.await, folder)
}

pub(crate) fn write(folder: &Path, password: &str, prefix: &str) {
    let rules = format!(
        "{{ key: {{ {prefix}: write, shop/secret/: deny }}, service: {{ shop: write, \"\": read }}, \
         node: {{ \"\": read }}, session: {{ \"\": write }} }}"
    );
    let hashed = |password: &str| hash_password(&Secret::new(password));
    let token = |token: &str| hash_token(&Secret::new(token));
    let text = format!(
        "tokens:\n- {{ name: shop, sha256: {}, rules: {rules} }}\n- {{ name: root, sha256: {}, \
         management: true }}\nusers:\n- {{ name: shop, password: \"{}\", rules: {rules} }}\n- {{ \
         name: root, password: \"{}\", management: true }}\n",
        token(SHOP),
        token(ROOT),
        hashed(password),
        hashed("root"),
    );
    std::fs::write(folder.join("access.yaml"), text).unwrap();
}

async fn call(server: &Server, method: Method, path: &str, body: &str, token: &str) -> Answer {
    let url = format!("http://{}{path}", server.address);
    let request = server.client.request(method, url).body(body.to_owned()).timeout(LIMIT);
    let response = request.header("X-Consul-Token", token).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

#[tokio::test]
async fn another_address_than_loopback_takes_an_access_file() {
    let folder = tempfile::tempdir().unwrap();
    for interface in ["consul", "etcd", "dns"] {
        let mut settings = Settings::default();
        settings.data_dir = folder.path().to_owned();
        settings.consul_listen = ([127, 0, 0, 1], 0).into();
        let everywhere = ([0, 0, 0, 0], 0).into();
        match interface {
            "etcd" => settings.etcd.listen = Some(everywhere),
            "dns" => settings.dns.listen = Some(everywhere),
            _ => settings.consul_listen = everywhere,
        }
        let error = ControlPlane::bind(settings).await.unwrap_err();
        let BindError::Settings(error @ InvalidSettings::NoAccess { .. }) = error else {
            panic!("{error:?}")
        };
        assert!(error.to_string().contains("--access FILE"), "{error}");
    }
}

#[tokio::test]
async fn an_access_file_that_cannot_be_used_is_named_with_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.yaml");
    std::fs::write(&file, "tokens:\n- name: a\n  sha256: plain\n").unwrap();
    let mut settings = Settings::default();
    settings.data_dir = folder.path().to_owned();
    settings.access = Some(file);
    let error = ControlPlane::bind(settings).await.unwrap_err();
    let text = regatta_core::Chain(&error).to_string();
    assert!(text.contains("access.yaml") && text.contains("3:11: tokens[0].sha256"), "{text}");
}

#[tokio::test]
async fn consuls_clients_are_known_by_their_token_in_three_places() {
    let (server, _folder) = server().await;
    let url = format!("http://{}/v1/agent/self", server.address);
    let refused = async |request: reqwest::RequestBuilder| {
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let get = |url: &str| server.client.get(url);
    assert_eq!(refused(get(&url)).await, (403, "Permission denied".to_owned()));
    let unknown = get(&url).header("X-Consul-Token", "other");
    assert_eq!(refused(unknown).await, (403, "ACL not found".to_owned()));
    for request in [
        get(&format!("{url}?token={SHOP}")),
        get(&url).header("X-Consul-Token", SHOP),
        get(&url).header("Authorization", format!("Bearer {SHOP}")),
    ] {
        assert_eq!(refused(request).await.0, 200);
    }
    // Probes have no token.
    assert_eq!(server.get("/health/live").await.status, 200);
    assert_eq!(server.get("/v1/status/leader").await.status, 200);
}

#[tokio::test]
async fn services_are_written_by_their_own_and_lists_are_filtered() {
    let (server, _folder) = server().await;
    let register = async |name: &str, token: &str| {
        let body = json!({ "Name": name, "ID": format!("{name}-1"), "Port": 80 }).to_string();
        let path = "/v1/agent/service/register";
        call(&server, Method::PUT, path, &body, token).await.status.as_u16()
    };
    assert_eq!(register("shop-web", SHOP).await, 200);
    assert_eq!(register("bank", SHOP).await, 403);
    assert_eq!(register("bank", ROOT).await, 200);
    // Who takes another's id takes it from that one.
    let taken = json!({ "Name": "shop-web", "ID": "bank-1" }).to_string();
    let taken = call(&server, Method::PUT, "/v1/agent/service/register", &taken, SHOP).await;
    assert_eq!(taken.status, 403);
    // A name that is said twice may be read as either.
    let twice = r#"{"Name":"shop-web","name":"bank"}"#;
    let twice = call(&server, Method::PUT, "/v1/agent/service/register", twice, SHOP).await;
    assert_eq!(twice.status, 403);
    let deregister = async |id: &str| {
        let path = format!("/v1/agent/service/deregister/{id}");
        call(&server, Method::PUT, &path, "", SHOP).await.status.as_u16()
    };
    assert_eq!(deregister("bank-1").await, 403);

    let listed = call(&server, Method::GET, "/v1/catalog/services", "", SHOP).await;
    assert_eq!(listed.json(), json!({ "bank": [], "consul": [], "shop-web": [] }));
    assert!(listed.index() > 0);
    let nothing = server.get("/v1/catalog/services").await;
    assert_eq!((nothing.status.as_u16(), nothing.json()), (200, json!({})));
    assert_eq!(server.get("/v1/agent/services").await.json(), json!({}));
    assert_eq!(server.get("/v1/health/service/bank").await.json(), json!([]));
    let found = call(&server, Method::GET, "/v1/health/service/bank", "", SHOP).await.json();
    assert_eq!(found[0]["Service"]["ID"], "bank-1");
    assert_eq!(deregister("shop-web-1").await, 200);
}

/// An id left out was looked up as the empty one, and whose a check is was not looked up at all.
#[tokio::test]
async fn what_others_registered_is_not_taken_by_its_id() {
    let (server, _folder) = server().await;
    let put = async |path: &str, body: serde_json::Value, token: &str| {
        call(&server, Method::PUT, path, &body.to_string(), token).await.status.as_u16()
    };
    let service = "/v1/agent/service/register";
    let bank = json!({ "Name": "bank", "ID": "shop-1", "Check": { "TTL": "1h" } });
    assert_eq!(put(service, bank, ROOT).await, 200);
    let (check, catalog) = ("/v1/agent/check/register", "/v1/catalog/register");
    let taken = json!({ "CheckID": "service:shop-1", "TTL": "1h" });
    let own = json!({ "Name": "shop-web", "Check": { "TTL": "1h" } });
    assert_eq!(put(service, own, SHOP).await, 200);
    for (path, body) in [
        (service, json!({ "Name": "shop-1" })),
        (service, json!({ "Name": "shop-web", "Check": taken })),
        (service, json!({ "Name": "shop-web", "Checks": [taken] })),
        (
            check,
            json!({ "Name": "x", "ID": "service:shop-1", "ServiceID": "shop-web", "TTL": "1h" }),
        ),
        (check, json!({ "Name": "service:shop-1", "ServiceID": "shop-web", "TTL": "1h" })),
        (check, json!({ "Name": "x", "ServiceID": "shop-1", "TTL": "1h" })),
        (catalog, json!({ "Node": "regatta", "SkipNodeUpdate": true })),
    ] {
        assert_eq!(put(path, body.clone(), SHOP).await, 403, "{path} {body}");
    }
    let mine =
        json!({ "Name": "x", "ID": "service:shop-web", "ServiceID": "shop-web", "TTL": "2h" });
    assert_eq!(put(check, mine, SHOP).await, 200);
    let checks = call(&server, Method::GET, "/v1/agent/checks", "", ROOT).await.json();
    assert_eq!(checks["service:shop-1"]["ServiceName"], "bank");
    // What is no registration is refused with the reason, not for want of a right.
    assert_eq!(put(service, json!({ "Port": 1 }), SHOP).await, 400);
}

pub(crate) type Channels = InterceptedService<Channel, Token>;

/// Adds a token to each call.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) Option<MetadataValue<Ascii>>);

impl tonic::service::Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("token", token.clone());
        }
        Ok(request)
    }
}

pub(crate) async fn channel(server: &Server) -> Channel {
    let endpoint = format!("http://{}", server.etcd_endpoint());
    Channel::from_shared(endpoint).unwrap().connect().await.unwrap()
}

pub(crate) async fn log_in(server: &Server, name: &str, password: &str) -> Result<String, Status> {
    let request = pb::AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
    let answer = AuthClient::new(channel(server).await).authenticate(request).await?;
    Ok(answer.into_inner().token)
}

pub(crate) async fn with_token(
    server: &Server,
    token: Option<&str>,
) -> pb::kv_client::KvClient<Channels> {
    let token = Token(token.map(|token| token.parse().unwrap()));
    pb::kv_client::KvClient::with_interceptor(channel(server).await, token)
}

pub(crate) const DENIED: (Code, &str) = (Code::PermissionDenied, "etcdserver: permission denied");

#[tokio::test]
async fn etcds_clients_log_in_and_may_what_their_rules_say() {
    let (server, _folder) = server().await;
    let wrong = "etcdserver: authentication failed, invalid user ID or password";
    for (name, password) in [("shop", "no"), ("nobody", "ahoy"), ("", "")] {
        let refused = log_in(&server, name, password).await;
        assert_refused(refused, Code::InvalidArgument, wrong);
    }
    let token = log_in(&server, "shop", "ahoy").await.unwrap();
    let mut kv = with_token(&server, Some(&token)).await;
    kv.put(put("shop/a", "1")).await.unwrap();
    let found = kv.range(range("shop/a", "")).await.unwrap().into_inner();
    assert_eq!(found.count, 1);
    assert_refused(kv.put(put("bank/a", "1")).await, DENIED.0, DENIED.1);
    assert_refused(kv.range(range("shop/", "shop0")).await, DENIED.0, DENIED.1);
    assert_refused(kv.range(range("\0", "\0")).await, DENIED.0, DENIED.1);
    assert_refused(kv.delete_range(delete("shop/secret/a", "")).await, DENIED.0, DENIED.1);
    let compact = pb::CompactionRequest { revision: 1, physical: false };
    assert_refused(kv.compact(compact).await, DENIED.0, DENIED.1);
    // A list that is not chosen is judged, too.
    let hidden = pb::request_op::Request::RequestPut(put("bank/a", "1"));
    let failure = vec![pb::RequestOp { request: Some(hidden) }];
    let txn = pb::TxnRequest { failure, ..<_>::default() };
    assert_refused(kv.txn(txn).await, DENIED.0, DENIED.1);

    let mut nobody = with_token(&server, None).await;
    let empty = "etcdserver: user name is empty";
    assert_refused(nobody.range(range("shop/a", "")).await, Code::InvalidArgument, empty);
    let mut stranger = with_token(&server, Some("other")).await;
    let invalid = "etcdserver: invalid auth token";
    assert_refused(stranger.range(range("shop/a", "")).await, Code::Unauthenticated, invalid);
    // A token of the file serves both interfaces.
    with_token(&server, Some(ROOT)).await.put(put("bank/a", "1")).await.unwrap();
}

#[tokio::test]
async fn a_watch_beyond_the_rules_is_cancelled_with_etcds_reason() {
    let (server, _folder) = server().await;
    let token = Token(Some(SHOP.parse().unwrap()));
    let channel = channel(&server).await;
    let mut client = pb::watch_client::WatchClient::with_interceptor(channel, token);
    let requests = ["shop/a", "bank/a"].map(|key| pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::CreateRequest(watch(key, ""))),
    });
    let answers = client.watch(tokio_stream::iter(requests)).await.unwrap();
    let mut answers = answers.into_inner();
    let own = answers.message().await.unwrap().unwrap();
    assert!(own.created && !own.canceled);
    let other = answers.message().await.unwrap().unwrap();
    assert!(other.created && other.canceled);
    let reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
    assert_eq!(other.cancel_reason, reason);
}

#[tokio::test]
async fn a_lease_is_revoked_by_who_may_end_its_keys() {
    let (server, _folder) = server().await;
    let lease = async |token: &str| {
        let token = Token(Some(token.parse().unwrap()));
        pb::lease_client::LeaseClient::with_interceptor(channel(&server).await, token)
    };
    let granted = lease(SHOP).await.lease_grant(pb::LeaseGrantRequest { id: 7, ttl: 60 }).await;
    granted.unwrap();
    let mut root = with_token(&server, Some(ROOT)).await;
    root.put(pb::PutRequest { lease: 7, ..put("bank/a", "1") }).await.unwrap();
    let revoke = pb::LeaseRevokeRequest { id: 7 };
    assert_refused(lease(SHOP).await.lease_revoke(revoke).await, DENIED.0, DENIED.1);
    // Nor may a key be put where it could be ended with others.
    let mut kv = with_token(&server, Some(SHOP)).await;
    let attach = pb::PutRequest { lease: 7, ..put("shop/a", "1") };
    assert_refused(kv.put(attach).await, DENIED.0, DENIED.1);
    lease(ROOT).await.lease_revoke(revoke).await.unwrap();
}

#[tokio::test]
async fn the_file_is_read_again_and_a_broken_one_changes_nothing() {
    let (server, folder) = server().await;
    let token = log_in(&server, "shop", "ahoy").await.unwrap();
    std::fs::write(folder.path().join("access.yaml"), "tokens: 1\n").unwrap();
    let mut kv = with_token(&server, Some(&token)).await;
    kv.put(put("shop/a", "1")).await.unwrap();
    write(folder.path(), "other", "bank/");
    wait_until("the new file to be in force", LIMIT, async || {
        with_token(&server, Some(SHOP)).await.put(put("bank/a", "1")).await.is_ok()
    })
    .await;
    // The password is another, so what it gave is over.
    let invalid = "etcdserver: invalid auth token";
    assert_refused(kv.put(put("bank/a", "1")).await, Code::Unauthenticated, invalid);
    let metrics = call(&server, Method::GET, "/metrics", "", ROOT).await.text;
    assert!(metrics.contains("regatta_control_denied_total{interface=\"etcd\"}"), "{metrics}");
}

#[tokio::test]
async fn without_access_control_nobody_logs_in() {
    let server = crate::etcd::server().await;
    let refused = log_in(&server, "any", "any").await;
    let text = "etcdserver: authentication is not enabled";
    assert_refused(refused, Code::FailedPrecondition, text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_logs_in() {
    let (server, _folder) = server().await;
    let run = async |user: &str, key: &str| {
        let (endpoint, user, key) = (server.etcd_endpoint(), user.to_owned(), key.to_owned());
        let run = move || {
            let output = etcdctl(&endpoint, &["--user", &user, "put", &key, "1"]);
            output.unwrap_or_else(|error| panic!("{error}"))
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    let output = run("shop:ahoy", "shop/a").await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (user, key, said) in [
        ("shop:ahoy", "bank/a", "etcdserver: permission denied"),
        ("shop:no", "shop/a", "invalid user ID or password"),
    ] {
        let output = run(user, key).await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && errors.contains(said), "{errors}");
    }
}
