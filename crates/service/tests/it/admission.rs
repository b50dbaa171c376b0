//! Who is let in when there is no room, and how clients are told.

use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use http::Request;
use regatta::testing::{Answer, Running};
use regatta_proto::userservice::GetUserRequest;
use regatta_proto::userservice::user_service_client::UserServiceClient;
use regatta_proto::userservice::user_service_server::UserServiceServer;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::fixture::{PATIENCE, opened, routes, running};
use crate::grpc::Users;

/// A service whose `/held` answers when it is let go.
async fn holding(yaml: &str) -> (Arc<Running>, Arc<Semaphore>, Arc<Semaphore>) {
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (enters, waits) = (entered.clone(), gate.clone());
    let held = async move || {
        enters.add_permits(1);
        waits.acquire().await.unwrap().forget();
        "let go"
    };
    let routes = axum::Router::new().route("/held", get(held)).merge(routes());
    let service = opened(yaml).await.rest(routes).grpc(UserServiceServer::new(Users));
    (Arc::new(Running::start(service).await.unwrap()), entered, gate)
}

/// Calls `/held` and waits until the handler has begun.
async fn hold(service: &Arc<Running>, entered: &Semaphore) -> tokio::task::JoinHandle<Answer> {
    let service = service.clone();
    let answer = tokio::task::spawn(async move { service.get("/held").await });
    timeout(PATIENCE, entered.acquire()).await.expect("it is let in").unwrap().forget();
    answer
}

async fn urgent(service: &Running, priority: &str) -> Answer {
    let request = Request::get("/hello").header("priority", priority);
    service.send(request.body(String::new())).await
}

#[tokio::test]
async fn over_the_limit_a_request_is_a_503_that_says_when_to_come_back() {
    let (service, entered, gate) = holding("shed: {limit: 1, queue: 0}").await;
    let held = hold(&service, &entered).await;
    let answer = service.get("/hello").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!((answer.header("retry-after"), &answer.json()["code"]), ("1", &"overloaded".into()));
    gate.add_permits(1);
    assert_eq!(held.await.unwrap().text(), "let go");
    assert_eq!(service.get("/hello").await.text(), "hello", "there is room again");
    let metrics = service.get("/metrics").await.text();
    assert!(metrics.contains(r#"regatta_server_turned_away_total{reason="full"#), "{metrics}");
}

#[tokio::test]
async fn over_grpc_it_is_unavailable() {
    let (service, entered, gate) = holding("shed: {limit: 1, queue: 0}").await;
    let held = hold(&service, &entered).await;
    let channel = Channel::from_shared(service.url()).unwrap().connect().await.unwrap();
    let shed = UserServiceClient::new(channel);
    let status = shed.clone().get_user(GetUserRequest { user_id: 1 }).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
    assert_eq!(told(&status), ("1", "1000", Duration::from_secs(1)));
    let request = Request::post("/other.Service/Get");
    let request = request.header("content-type", "application/grpc").body(String::new());
    // Not a service of this test: it is told so before anybody asks for room.
    assert_eq!(service.send(request).await.header("grpc-status"), "12");
    let request = Request::post("/grpc.health.v1.Health/Check");
    let request = request.header("content-type", "application/grpc").body(String::new());
    assert_ne!(service.send(request).await.header("grpc-status"), "14", "health is let in");
    gate.add_permits(1);
    held.await.unwrap();
    let status = shed.clone().get_user(GetUserRequest { user_id: 9 }).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound, "there is room again");
}

/// When a gRPC client is told to come back, in each of three ways.
fn told(status: &tonic::Status) -> (&str, &str, Duration) {
    let field = |name| status.metadata().get(name).map_or("", |value| value.to_str().unwrap());
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
    (field("retry-after"), field("grpc-retry-pushback-ms"), delay.unwrap_or_default())
}

#[tokio::test]
async fn over_grpc_a_client_over_its_share_is_told_when_to_come_back() {
    let service = opened("rate_limit: {requests: 1, window: 20s}").await;
    let service = service.grpc(UserServiceServer::new(Users));
    let service = Running::start(service).await.unwrap();
    let channel = Channel::from_shared(service.url()).unwrap().connect().await.unwrap();
    let mut users = UserServiceClient::new(channel);
    let status = users.get_user(GetUserRequest { user_id: 9 }).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound, "{status}");
    let status = users.get_user(GetUserRequest { user_id: 9 }).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
    let (seconds, millis, delay) = told(&status);
    assert!((1..=20).contains(&delay.as_secs()), "{delay:?}");
    assert_eq!(seconds, delay.as_secs().to_string());
    assert_eq!(millis, delay.as_millis().to_string());
}

#[tokio::test]
async fn health_and_metrics_are_let_in_whatever_the_load() {
    let (service, entered, _gate) = holding("shed: {limit: 1, queue: 0}").await;
    let _held = hold(&service, &entered).await;
    for path in ["/health", "/healthz", "/health/ready", "/readyz", "/livez", "/metrics"] {
        assert_eq!(service.get(path).await.status(), 200, "{path}");
    }
    assert_eq!(service.get("/hello").await.status(), 503);
}

#[tokio::test]
async fn who_waits_is_let_in_when_there_is_room() {
    let (service, entered, gate) = holding("shed: {limit: 1, queue: 1, queue_timeout: 20s}").await;
    let held = hold(&service, &entered).await;
    let waiting = {
        let service = service.clone();
        tokio::task::spawn(async move { service.get("/hello").await })
    };
    let queued = async {
        while !service.get("/metrics").await.text().contains("regatta_server_queued 1") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, queued).await.expect("it waits");
    gate.add_permits(1);
    assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap().text(), "hello");
    assert_eq!(held.await.unwrap().status(), 200);
}

#[tokio::test]
async fn nobody_waits_longer_than_the_queue_or_its_own_deadline_allows() {
    let (service, entered, _gate) =
        holding("shed: {limit: 1, queue: 9, queue_timeout: 50ms}").await;
    let _held = hold(&service, &entered).await;
    assert_eq!(service.get("/hello").await.status(), 503);
    let (service, entered, _gate) = holding("shed: {limit: 1, queue: 9, queue_timeout: 20s}").await;
    let _held = hold(&service, &entered).await;
    let request = Request::get("/hello").header("x-envoy-expected-rq-timeout-ms", "50");
    let late = timeout(PATIENCE, service.send(request.body(String::new()))).await.unwrap();
    assert!([503, 504].contains(&late.status().as_u16()), "{}", late.text());
}

#[tokio::test]
async fn the_least_urgent_are_turned_away_first() {
    // Four fifths of five: the fifth place is kept for requests of the usual urgency.
    let (service, entered, _gate) = holding("shed: {limit: 5, queue: 0}").await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(hold(&service, &entered).await);
    }
    assert_eq!(urgent(&service, "u=7").await.status(), 503);
    assert_eq!(urgent(&service, "u=1").await.status(), 200);
    assert_eq!(service.get("/hello").await.status(), 200);
}

#[tokio::test]
async fn a_client_that_goes_away_makes_room() {
    let (service, entered, _gate) = holding("shed: {limit: 1, queue: 0}").await;
    let held = hold(&service, &entered).await;
    held.abort();
    let room = async {
        while service.get("/hello").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, room).await.expect("the place is given back");
}

#[tokio::test]
async fn a_stream_takes_no_room_once_it_has_begun() {
    let endless = async || {
        let ticks = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
        axum::body::Body::from_stream(ticks)
    };
    let routes = axum::Router::new().route("/stream", get(endless)).merge(routes());
    let service = opened("shed: {limit: 1, queue: 0}").await.rest(routes);
    let service = Running::start(service).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(service.addr()).await.unwrap();
    let request = b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request).await.unwrap();
    let head = tokio::io::AsyncReadExt::read_u8(&mut stream);
    assert_eq!(timeout(PATIENCE, head).await.unwrap().unwrap(), b'H');
    assert_eq!(service.get("/hello").await.status(), 200);
}

#[tokio::test]
async fn a_request_whose_deadline_is_over_is_not_begun() {
    let (service, entered, _gate) = holding("").await;
    let request = Request::get("/held").header("x-envoy-expected-rq-timeout-ms", "0");
    let answer = service.send(request.body(String::new())).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.json()["code"]),
        (504, &"deadline_exceeded".into())
    );
    assert_eq!(entered.available_permits(), 0, "the handler did not begin");
}

#[tokio::test]
async fn work_is_cancelled_when_its_deadline_is_over() {
    struct Dropped(Arc<Semaphore>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.add_permits(1);
        }
    }
    let dropped = Arc::new(Semaphore::new(0));
    let work = dropped.clone();
    let working = move || {
        let guard = Dropped(work.clone());
        async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }
    };
    let routes = axum::Router::new().route("/working", get(working));
    let service = Running::start(opened("").await.rest(routes)).await.unwrap();
    let request = Request::get("/working").header("x-envoy-expected-rq-timeout-ms", "30");
    assert_eq!(service.send(request.body(String::new())).await.status(), 504);
    timeout(PATIENCE, dropped.acquire()).await.expect("the handler is dropped").unwrap().forget();
}

#[tokio::test]
async fn clients_over_their_share_are_told_and_others_are_served() {
    let service = running("rate_limit: {requests: 2}").await;
    let ask = async |client: &str| {
        let request = Request::get("/hello").header("x-client-id", client);
        service.send(request.body(String::new())).await
    };
    let first = ask("a").await;
    assert_eq!(
        (first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")),
        ("2", "1")
    );
    assert!(
        first.header("ratelimit").starts_with("\"client\";r=1;t="),
        "{}",
        first.header("ratelimit")
    );
    assert_eq!(first.header("ratelimit-policy"), "\"client\";q=2;w=60");
    ask("a").await;
    let third = ask("a").await;
    assert_eq!(third.status(), 429);
    assert_eq!(third.json()["error"], "Rate limit exceeded");
    let seconds: u64 = third.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds) && third.json()["retry_after"] == seconds);
    assert_eq!(third.header("ratelimit"), format!("\"client\";r=0;t={seconds}"));
    assert_eq!(ask("b").await.status(), 200);
    // By its address, where a client does not say who it is.
    assert_eq!(service.get("/hello").await.status(), 200);
    assert_eq!(service.get("/hello").await.status(), 200);
    assert_eq!(service.get("/hello").await.status(), 429);
    assert_eq!(service.get("/health/live").await.status(), 200, "health is not counted");
}

/// The status of a request with these fields.
async fn status(service: &Running, fields: &[(&str, &str)]) -> u16 {
    let mut request = Request::get("/hello");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    service.send(request.body(String::new())).await.status().as_u16()
}

const FORWARDED_FOR: &str = "x-forwarded-for";

#[tokio::test]
async fn behind_a_trusted_hop_clients_are_counted_and_not_the_hop() {
    let yaml = "{server: {trusted_hops: [127.0.0.0/8, 10.0.0.1]}, rate_limit: {requests: 1}}";
    let service = running(yaml).await;
    for client in ["203.0.113.7", "203.0.113.8"] {
        assert_eq!(status(&service, &[(FORWARDED_FOR, client)]).await, 200, "{client}");
        let over = format!("198.51.100.1, {client}, 10.0.0.1");
        assert_eq!(status(&service, &[(FORWARDED_FOR, &over)]).await, 429, "{client}, further on");
    }
    assert_eq!(status(&service, &[]).await, 200, "the hop for itself");
}

#[tokio::test]
async fn who_is_not_trusted_counts_by_its_own_address_whatever_it_says() {
    let yaml = "{server: {trusted_hops: [10.0.0.0/8]}, rate_limit: {requests: 1}}";
    let service = running(yaml).await;
    assert_eq!(status(&service, &[(FORWARDED_FOR, "203.0.113.7")]).await, 200);
    assert_eq!(status(&service, &[(FORWARDED_FOR, "203.0.113.8")]).await, 429);
}

#[tokio::test]
async fn an_id_that_looks_like_an_address_takes_nobodys_share_and_an_empty_one_is_none() {
    let service = running("rate_limit: {requests: 1}").await;
    for id in ["127.0.0.1", "ip:127.0.0.1"] {
        assert_eq!(status(&service, &[("x-client-id", id)]).await, 200, "{id}");
        assert_eq!(status(&service, &[("x-client-id", id)]).await, 429, "{id}");
    }
    assert_eq!(status(&service, &[("x-client-id", "")]).await, 200, "by its address");
    assert_eq!(status(&service, &[]).await, 429, "and that has had its share");
}

#[tokio::test]
async fn ids_that_are_made_up_keep_out_nobody_who_is_known_by_the_address() {
    // So little memory that newcomers soon share a few counts.
    let service = running("rate_limit: {requests: 1, max_bytes: 64KiB}").await;
    let mut refused = 0;
    for number in 0..2000 {
        let id = number.to_string();
        refused += u32::from(status(&service, &[("x-client-id", &id)]).await == 429);
    }
    assert!(refused > 0, "the table of ids is full");
    assert_eq!(status(&service, &[]).await, 200);
}

#[tokio::test]
async fn without_a_limit_nobody_is_told_of_one() {
    let service = running("").await;
    assert_eq!(service.get("/hello").await.header("x-ratelimit-limit"), "");
}
