//! Tokens, roles, limits, versions, deadlines.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use regatta_auth::{Grant, Issuer, SigningKey};
use regatta_core::Secret;
use regatta_gateway::{Access, LimitKey, RateLimit, Route, Settings};

use crate::support::{
    Message, SECRET, answering, auth, echo, get, get_with, instance, ok, settings, start,
    start_with, upstream,
};

fn bearer(role: &str) -> String {
    bearer_of("7", role)
}

pub(crate) fn bearer_of(user: &str, role: &str) -> String {
    let issuer = Issuer::new(SigningKey::hs256(&Secret::new(SECRET)).unwrap());
    let token = issuer.issue(&Grant::new(user).role(role), regatta_auth::now()).unwrap();
    format!("Authorization: Bearer {token}\r\n")
}

fn guarded() -> Settings {
    let mut settings = settings();
    settings.auth = Some(auth());
    let mut admin = Route::new("/a/admin/**");
    admin.roles = vec!["admin".into()];
    let mut public = Route::new("/a/public");
    public.access = Access::None;
    settings.routes = vec![admin, Route::new("/a/users/*"), public];
    settings
}

#[tokio::test]
async fn a_route_asks_for_a_token_and_for_roles() {
    let mut service = echo().await;
    let gateway = start(guarded(), &[service.addr]).await;
    let (user, admin) = (bearer("user"), bearer("admin"));
    let twice = format!("{user}{admin}");
    for (path, lines, status, error) in [
        ("/a/users/1", "", 401, "Missing token"),
        ("/a/users/1", "Authorization: Bearer a.b.c\r\n", 401, "Invalid token"),
        ("/a/users/1", "Authorization: Basic dTpw\r\n", 401, "Missing token"),
        ("/a/users/1", &twice, 401, "Invalid token"),
        ("/a/admin/users", &user, 403, "Insufficient permissions"),
        ("/a/other", "Authorization: Bearer a.b.c\r\n", 401, "Invalid token"),
    ] {
        let answer = get_with(gateway.addr, path, lines).await;
        assert_eq!(answer.status, status, "{path} {lines}");
        assert_eq!(answer.json()["error"], error, "{path} {lines}");
        assert!(answer.field("www-authenticate").is_some(), "{path}");
    }
    assert_eq!(service.unseen(), 0);
    for (path, lines) in [
        ("/a/users/1", user.as_str()),
        ("/a/admin/users", &admin),
        ("/a/public", "Authorization: Bearer junk\r\n"),
        ("/a/other", ""),
    ] {
        assert_eq!(get_with(gateway.addr, path, lines).await.status, 200, "{path}");
    }
    let seen = service.request().await;
    assert_eq!((seen.field("x-user-id"), seen.field("x-user-roles")), (Some("7"), Some("user")));
    assert!(seen.field("authorization").is_some(), "services verify for themselves");
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_around_a_rule() {
    let mut service = echo().await;
    let gateway = start(guarded(), &[service.addr]).await;
    for path in [
        "/a/%61dmin/users",
        "/a/admin/",
        "/a/admin",
        "/a/%61%64min",
        "/%61/admin/users",
        "/a//admin/users",
        "/a/./admin/users",
        "/a/x/../admin/users",
        "/a/x/%2e%2e/admin",
        "/a%2fadmin/users",
        "/a/admin;x=1/users",
        "/a/%2561dmin/users",
        "/a\\admin\\users",
        "http://h/a/admin/users",
        "/a/users/1/",
    ] {
        let status = get(gateway.addr, path).await.status;
        assert!(matches!(status, 400 | 401), "{path}: {status}");
    }
    assert_eq!(service.unseen(), 0);
}

#[tokio::test]
async fn a_client_over_its_limit_is_told_when_to_come_back() {
    let service = echo().await;
    let mut settings = settings();
    let mut limit = RateLimit::default();
    limit.requests = NonZeroU32::new(3).unwrap();
    settings.rate_limit = Some(limit);
    let gateway = start(settings, &[service.addr]).await;
    for remaining in ["2", "1", "0"] {
        let answer = get_with(gateway.addr, "/a/x", "X-Client-ID: one\r\n").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("x-ratelimit-limit"), Some("3"));
        assert_eq!(answer.field("x-ratelimit-remaining"), Some(remaining));
        assert_eq!(answer.field("ratelimit-policy"), Some("\"client\";q=3;w=60"));
    }
    let answer = get_with(gateway.addr, "/a/x", "X-Client-ID: one\r\n").await;
    assert_eq!(answer.status, 429);
    let body = answer.json();
    assert_eq!(body["error"], "Rate limit exceeded");
    let retry_after = body["retry_after"].as_u64().unwrap();
    assert!((1..=60).contains(&retry_after));
    assert_eq!(answer.field("retry-after").unwrap(), retry_after.to_string());
    let said = format!("\"client\";r=0;t={retry_after}");
    assert_eq!(answer.field("ratelimit"), Some(said.as_str()));
    let other = get_with(gateway.addr, "/a/x", "X-Client-ID: two\r\n").await;
    assert_eq!(other.status, 200);
    assert_eq!(get(gateway.addr, "/a/x").await.status, 200, "the address counts for itself");
}

#[tokio::test]
async fn a_client_is_what_the_operator_says() {
    let service = echo().await;
    let asks = async |key: LimitKey, lines: [&str; 3]| {
        let mut limit = RateLimit::default();
        (limit.requests, limit.key) = (NonZeroU32::MIN, key);
        let mut settings = guarded();
        settings.rate_limit = Some(limit);
        let gateway = start(settings, &[service.addr]).await;
        let mut statuses = Vec::new();
        for line in lines {
            statuses.push(get_with(gateway.addr, "/a/x", line).await.status);
        }
        statuses
    };
    let names = ["X-Client-ID: one\r\n", "X-Client-ID: two\r\n", "X-Client-ID: one\r\n"];
    assert_eq!(asks(LimitKey::ClientId, names).await, [200, 200, 429]);
    assert_eq!(asks(LimitKey::Address, names).await, [200, 429, 429]);
    let (first, second) = (bearer_of("1", "user"), bearer_of("2", "user"));
    let named = format!("{first}X-Client-ID: two\r\n");
    assert_eq!(asks(LimitKey::User, [&first, &named, &second]).await, [200, 429, 200]);
    // Who is refused for its token counts by its address.
    let bad = "Authorization: Bearer x\r\n";
    assert_eq!(asks(LimitKey::User, [bad, bad, &first]).await, [401, 429, 200]);
    // Guesses at tokens count before a token is looked at.
    assert_eq!(asks(LimitKey::Address, [bad, bad, &first]).await, [401, 429, 429]);
}

#[tokio::test]
async fn versions_get_their_share() {
    let (v1, v2) = (
        answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nv1").await,
        answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nv2").await,
    );
    let mut settings = settings();
    settings.services[0].versions = vec![("v1".into(), 90), ("v2".into(), 10)];
    let instances = vec![instance(v1.addr, Some("v1")), instance(v2.addr, Some("v2"))];
    let gateway = start_with(settings, instances).await;
    let mut counts = BTreeMap::<String, u32>::new();
    for _ in 0..100 {
        *counts.entry(get(gateway.addr, "/a/x").await.text()).or_default() += 1;
    }
    assert_eq!((counts["v1"], counts["v2"]), (90, 10));
}

#[tokio::test]
async fn a_service_that_hangs_is_given_up_and_its_time_is_passed_on() {
    let mut service = upstream(Arc::new(|_, _: &_| (Vec::new(), false))).await;
    let mut settings = settings();
    settings.timeouts.request = Duration::from_millis(300);
    let gateway = start(settings, &[service.addr]).await;
    let answer = get(gateway.addr, "/a/x").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (504, Some("upstream_timeout")));
    let seen = service.request().await;
    let left = |seen: &Message| -> u32 {
        seen.field("x-envoy-expected-rq-timeout-ms").unwrap().parse().unwrap()
    };
    assert!((100..=300).contains(&left(&seen)), "what is left when it is sent");
    let hurry = "x-envoy-expected-rq-timeout-ms: 50\r\n";
    assert_eq!(get_with(gateway.addr, "/a/x", hurry).await.status, 504);
    assert!((1..=50).contains(&left(&service.request().await)));
    let over = "x-envoy-expected-rq-timeout-ms: 0\r\n";
    assert_eq!(get_with(gateway.addr, "/a/x", over).await.status, 504);
    assert_eq!(service.unseen(), 0);
}

#[tokio::test]
async fn unknown_services_and_absent_instances_have_a_remedy() {
    let gateway = start(settings(), &[]).await;
    let nowhere = get(gateway.addr, "/nowhere/x").await;
    assert_eq!((nowhere.status, nowhere.json()["code"].as_str()), (404, Some("unknown_service")));
    assert!(nowhere.json()["detail"].as_str().unwrap().contains("regatta.yaml"));
    assert!(nowhere.json()["trace_id"].is_string());
    let empty = get(gateway.addr, "/a/x").await;
    assert_eq!(empty.status, 503);
    assert_eq!(empty.field("retry-after"), Some("1"));
}

#[tokio::test]
async fn health_is_the_gateways_own_and_metrics_are_on_the_admin_listener() {
    let service = upstream(Arc::new(|_, _: &_| (ok(b"x"), false))).await;
    let gateway = start(guarded(), &[service.addr]).await;
    assert_eq!(get(gateway.addr, "/health/live").await.text(), r#"{"status":"alive"}"#);
    assert_eq!(get(gateway.addr, "/health/ready").await.text(), r#"{"status":"ready"}"#);
    assert_eq!(get(gateway.addr, "/health").await.json()["status"], "healthy");
    get(gateway.addr, "/a/x").await;
    get(gateway.addr, "/a/users/1").await;
    assert_eq!(get(gateway.addr, "/metrics").await.status, 404);
    let metrics = get(gateway.admin, "/metrics").await.text();
    for line in [
        "http_server_request_duration_seconds_count{service=\"a\",http_route=\"default\",\
         http_request_method=\"GET\",http_response_status_code=\"200\"} 1",
        "http_server_request_duration_seconds_count{service=\"a\",http_route=\"/a/users/*\",\
         http_request_method=\"GET\",http_response_status_code=\"401\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}
