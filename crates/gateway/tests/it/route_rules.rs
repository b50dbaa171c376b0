//! Limits and versions of single routes.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use regatta_gateway::{Access, LimitKey, OnOutage, RateLimit, Route, Settings};

use crate::http2::{client, send};
use crate::live::live;
use crate::overload::Two;
use crate::policies::bearer_of;
use crate::support::{
    Message, answering, auth, echo, get, get_with, instance, ok, settings, start, start_with,
    upstream,
};

const ONE: &str = "X-Client-ID: one\r\n";

fn limit(requests: u32, key: LimitKey) -> RateLimit {
    let mut limit = RateLimit::default();
    (limit.requests, limit.key) = (NonZeroU32::new(requests).unwrap(), key);
    limit
}

/// Service `a`, whose logins are limited.
fn limited(requests: u32, key: LimitKey) -> Settings {
    let mut settings = settings();
    let mut login = Route::new("/a/login");
    login.access = Access::None;
    login.rate_limit = Some(limit(requests, key));
    settings.routes = vec![login];
    settings
}

async fn statuses<const N: usize>(gateway: SocketAddr, asked: [(&str, &str); N]) -> [u16; N] {
    let mut statuses = [0; N];
    for (status, (path, lines)) in statuses.iter_mut().zip(asked) {
        *status = get_with(gateway, path, lines).await.status;
    }
    statuses
}

#[tokio::test]
async fn a_route_has_a_limit_of_its_own_that_counts_its_paths_only() {
    let mut service = echo().await;
    let gateway = start(limited(2, LimitKey::ClientId), &[service.addr]).await;
    for remaining in ["1", "0"] {
        let answer = get_with(gateway.addr, "/a/login", ONE).await;
        assert_eq!(answer.field("ratelimit-policy"), Some("\"client\";q=2;w=60"));
        assert_eq!(answer.field("x-ratelimit-limit"), Some("2"));
        assert_eq!(answer.field("x-ratelimit-remaining"), Some(remaining));
    }
    let refused = get_with(gateway.addr, "/a/login", ONE).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("rate_limited")));
    let after = refused.json()["retry_after"].to_string();
    assert_eq!(refused.field("retry-after"), Some(after.as_str()));
    let two = "X-Client-ID: two\r\n";
    let asked = [("/a/login", two), ("/a/other", ONE), ("/a/login", "")];
    assert_eq!(statuses(gateway.addr, asked).await, [200; 3]);
    assert_eq!(service.unseen(), 5);
    let metrics = get(gateway.admin, "/metrics").await.text();
    let counted = "http_route=\"/a/login\",http_request_method=\"GET\",\
                   http_response_status_code=\"429\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn both_limits_hold_and_the_answer_tells_the_one_that_is_met_first() {
    let service = echo().await;
    let mut settings = limited(3, LimitKey::ClientId);
    settings.rate_limit = Some(limit(5, LimitKey::ClientId));
    let gateway = start(settings, &[service.addr]).await;
    let limits = async |path: &str| {
        let answer = get_with(gateway.addr, path, ONE).await;
        let left = answer.field("x-ratelimit-remaining").map(str::to_owned);
        (answer.status, answer.field("x-ratelimit-limit").map(str::to_owned), left)
    };
    let told = |status, limit: &str, left: &str| (status, Some(limit.into()), Some(left.into()));
    assert_eq!(limits("/a/x").await, told(200, "5", "4"));
    assert_eq!(limits("/a/login").await, told(200, "3", "2"));
    assert_eq!(limits("/a/login").await, told(200, "3", "1"));
    assert_eq!(limits("/a/x").await, told(200, "5", "1"));
    assert_eq!(limits("/a/login").await.0, 200);
    assert_eq!(limits("/a/x").await, told(429, "5", "0"));
    assert_eq!(limits("/a/login").await, told(429, "5", "0"), "the route was not asked");
}

#[tokio::test]
async fn a_client_of_a_route_is_what_the_operator_says() {
    let service = echo().await;
    let tenant = LimitKey::Header("x-tenant".into());
    let gateway = start(limited(1, tenant), &[service.addr]).await;
    let (red, blue) = ("X-Tenant: red\r\n", "x-tenant: blue\r\nX-Client-ID: one\r\n");
    let asked = [("/a/login", red), ("/a/login", blue), ("/a/login", red), ("/a/login", blue)];
    assert_eq!(statuses(gateway.addr, asked).await, [200, 200, 429, 429]);
    let asked = [("/a/login", ""), ("/a/login", ONE), ("/a/login", "X-Tenant: \r\n")];
    assert_eq!(statuses(gateway.addr, asked).await, [200, 429, 429], "the address counts");
    let gateway = start(limited(1, LimitKey::Address), &[service.addr]).await;
    let asked = [("/a/login", ONE), ("/a/login", red), ("/a/x", red)];
    assert_eq!(statuses(gateway.addr, asked).await, [200, 429, 200]);
}

#[tokio::test]
async fn a_client_is_whom_a_trusted_hop_names_and_nobody_elses_word_counts() {
    let service = echo().await;
    let mut settings = limited(1, LimitKey::Address);
    let from = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    let (one, two) = (from("192.0.2.1"), from("192.0.2.2"));
    let asked = [("/a/login", &*one), ("/a/login", &*two), ("/a/login", &*one)];
    let gateway = start(settings.clone(), &[service.addr]).await;
    assert_eq!(statuses(gateway.addr, asked).await, [200, 429, 429], "the peer counts");
    settings.trusted_hops = vec!["127.0.0.0/8".parse().unwrap()];
    let gateway = start(settings, &[service.addr]).await;
    assert_eq!(statuses(gateway.addr, asked).await, [200, 200, 429]);
    let mut client = client(gateway.addr).await;
    for (address, status) in [("192.0.2.1", 429), ("192.0.2.3", 200), ("192.0.2.3", 429)] {
        let request = Request::get("http://shop/a/login").header("x-forwarded-for", address);
        let answer = send(&mut client, request.body(Full::<Bytes>::default()).unwrap()).await;
        assert_eq!(answer.status(), status, "{address} over HTTP/2");
    }
}

#[tokio::test]
async fn users_of_a_route_count_by_themselves_and_who_is_refused_by_the_address() {
    let service = echo().await;
    let mut settings = limited(1, LimitKey::User);
    settings.auth = Some(auth());
    settings.routes[0].access = Access::Required;
    let gateway = start(settings, &[service.addr]).await;
    let (first, second) = (bearer_of("1", "user"), bearer_of("2", "user"));
    let asked = [("/a/login", &*first), ("/a/login", &*second), ("/a/login", &*first)];
    assert_eq!(statuses(gateway.addr, asked).await, [200, 200, 429]);
    let bad = "Authorization: Bearer x\r\n";
    assert_eq!(statuses(gateway.addr, [("/a/login", bad), ("/a/login", bad)]).await, [401, 429]);
}

#[tokio::test]
async fn guesses_at_tokens_count_before_a_token_is_looked_at() {
    let mut service = echo().await;
    let mut settings = limited(2, LimitKey::Address);
    settings.auth = Some(auth());
    settings.routes[0].access = Access::Required;
    let gateway = start(settings, &[service.addr]).await;
    let good = bearer_of("1", "user");
    let bad = "Authorization: Bearer x\r\n";
    let asked = [("/a/login", bad), ("/a/login", bad), ("/a/login", &*good)];
    assert_eq!(statuses(gateway.addr, asked).await, [401, 401, 429]);
    assert_eq!(service.unseen(), 0);
}

#[tokio::test]
async fn gateways_that_share_the_limit_of_a_route_admit_it_once() {
    let service = echo().await;
    let mut settings = limited(9, LimitKey::ClientId);
    let shared = Arc::new(Two { seen: AtomicU32::new(0), is_away: false });
    settings.routes[0].shared_limit = Some(shared);
    let gateways =
        [start(settings.clone(), &[service.addr]).await, start(settings, &[service.addr]).await];
    for gateway in &gateways {
        let answer = get_with(gateway.addr, "/a/login", ONE).await;
        assert_eq!((answer.status, answer.field("x-ratelimit-limit")), (200, Some("2")));
    }
    let answer = get_with(gateways[0].addr, "/a/login", ONE).await;
    assert_eq!((answer.status, answer.field("retry-after")), (429, Some("60")));
    assert_eq!(get_with(gateways[0].addr, "/a/x", ONE).await.status, 200);
}

#[tokio::test]
async fn a_request_that_waits_for_both_shared_counts_is_counted_once_by_each() {
    let service = echo().await;
    let mut settings = limited(9, LimitKey::ClientId);
    let two = || Arc::new(Two { seen: AtomicU32::new(0), is_away: false });
    let (whole, route) = (two(), two());
    settings.rate_limit = Some(limit(9, LimitKey::ClientId));
    settings.shared_limit = Some(whole.clone());
    settings.routes[0].shared_limit = Some(route.clone());
    let gateway = start(settings, &[service.addr]).await;
    let counted = || [&whole, &route].map(|two| two.seen.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!(get_with(gateway.addr, "/a/login", ONE).await.status, 200);
    assert_eq!(counted(), [1, 1]);
    assert_eq!(get_with(gateway.addr, "/a/x", ONE).await.status, 200);
    assert_eq!(counted(), [2, 1]);
}

#[tokio::test]
async fn while_the_shared_counts_of_a_route_are_away_the_gateway_does_what_it_was_told() {
    let service = echo().await;
    for (on_outage, expected) in [
        (OnOutage::Admit, [200, 200]),
        (OnOutage::Refuse, [429, 429]),
        (OnOutage::Count, [200, 429]),
    ] {
        let mut settings = limited(1, LimitKey::ClientId);
        settings.routes[0].rate_limit.as_mut().unwrap().on_outage = on_outage;
        let away = Two { seen: AtomicU32::new(0), is_away: true };
        settings.routes[0].shared_limit = Some(Arc::new(away));
        let gateway = start(settings, &[service.addr]).await;
        let asked = [("/a/login", ONE); 2];
        assert_eq!(statuses(gateway.addr, asked).await, expected, "{on_outage:?}");
    }
}

#[tokio::test]
async fn what_a_route_has_counted_counts_on_when_other_rules_change() {
    let service = echo().await;
    let mut settings = limited(1, LimitKey::ClientId);
    let gateway = live(settings.clone(), vec![instance(service.addr, None)]).await;
    assert_eq!(statuses(gateway.addr, [("/a/login", ONE)]).await, [200]);
    settings.routes.insert(0, Route::new("/a/first"));
    settings.routes[0].access = Access::None;
    settings.routes[0].rate_limit = Some(limit(1, LimitKey::ClientId));
    gateway.handle.apply(settings.clone()).unwrap();
    let asked = [("/a/login", ONE), ("/a/first", ONE)];
    assert_eq!(statuses(gateway.addr, asked).await, [429, 200]);
    settings.routes[1].rate_limit = Some(limit(2, LimitKey::ClientId));
    gateway.handle.apply(settings).unwrap();
    assert_eq!(statuses(gateway.addr, asked).await, [200, 429], "another limit counts anew");
}

#[tokio::test]
async fn the_limit_of_a_route_holds_over_http_2_and_for_grpc() {
    let service = echo().await;
    let gateway = start(limited(1, LimitKey::Header("x-tenant".into())), &[service.addr]).await;
    let mut client = client(gateway.addr).await;
    let mut ask = async |tenant: &str, media_type: &str| {
        let request = Request::get("http://shop/a/login").header("x-tenant", tenant);
        let request = request.header("content-type", media_type);
        send(&mut client, request.body(Full::<Bytes>::default()).unwrap()).await
    };
    assert_eq!(ask("red", "text/plain").await.status(), 200);
    assert_eq!(ask("blue", "text/plain").await.status(), 200);
    let refused = ask("red", "text/plain").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-ratelimit-limit"]),
        (429, &"1".parse().unwrap())
    );
    let refused = ask("red", "application/grpc").await;
    assert_eq!(refused.headers()["grpc-status"], "8");
}

#[tokio::test]
async fn a_route_leads_to_the_instances_of_its_version_whatever_the_weights() {
    let said =
        |text: &'static str| upstream(Arc::new(move |_, _: &Message| (ok(text.as_bytes()), false)));
    let (v1, v2, v3) = (said("v1").await, said("v2").await, said("v3").await);
    let mut settings = settings();
    settings.services[0].versions = vec![("v1".into(), 100), ("v2".into(), 0)];
    for (path, version) in [("/a/beta/**", "v2"), ("/a/gamma/**", "v3"), ("/a/gone/**", "v4")] {
        let mut route = Route::new(path);
        (route.access, route.version) = (Access::None, Some(version.into()));
        settings.routes.push(route);
    }
    let instances = [(&v1, "v1"), (&v2, "v2"), (&v3, "v3")];
    let instances = instances.map(|(service, version)| instance(service.addr, Some(version)));
    let gateway = start_with(settings, instances.to_vec()).await;
    let mut client = client(gateway.addr).await;
    for (path, version) in [("/a/x", "v1"), ("/a/beta/x", "v2"), ("/a/gamma/x", "v3")] {
        for _ in 0..5 {
            assert_eq!(get(gateway.addr, path).await.text(), version, "{path}");
        }
        let request = Request::get(format!("http://shop{path}"));
        let answer = send(&mut client, request.body(Full::<Bytes>::default()).unwrap()).await;
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap();
        assert_eq!(body.to_bytes(), version, "{path} over HTTP/2");
    }
    let none = get(gateway.addr, "/a/gone/x").await;
    assert_eq!((none.status, none.json()["code"].as_str()), (503, Some("no_healthy_instance")));
}

#[tokio::test]
async fn a_request_to_a_version_is_repeated_within_it() {
    let mut stable = echo().await;
    let busy = answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    let mut well = echo().await;
    let mut settings = settings();
    let mut route = Route::new("/a/beta/**");
    (route.access, route.version) = (Access::None, Some("v2".into()));
    settings.routes = vec![route];
    let instances = vec![
        instance(stable.addr, Some("v1")),
        instance(busy.addr, Some("v2")),
        instance(well.addr, Some("v2")),
    ];
    let gateway = start_with(settings, instances).await;
    for _ in 0..4 {
        assert_eq!(get(gateway.addr, "/a/beta/x").await.status, 200);
    }
    assert_eq!((stable.unseen(), well.unseen()), (0, 4));
}
