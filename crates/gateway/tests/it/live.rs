//! Rules that change while requests are served.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use regatta_core::Instance;
use regatta_discovery::StaticRegistry;
use regatta_gateway::{Gateway, Handle, RateLimit, Route, Service, Settings};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::{Wire, auth, echo, get, get_with, instance, settings};

pub(crate) struct Live {
    pub(crate) addr: std::net::SocketAddr,
    pub(crate) handle: Handle,
    _stop: tokio_util::sync::DropGuard,
}

pub(crate) async fn live(settings: Settings, instances: Vec<Instance>) -> Live {
    let registry = Arc::new(StaticRegistry::new(instances));
    let gateway = Gateway::bind(settings, registry).await.unwrap();
    let (addr, handle) = (gateway.addr(), gateway.handle());
    let drain = CancellationToken::new();
    let stop = drain.clone();
    TaskTracker::new().spawn(async move { gateway.run(stop).await });
    Live { addr, handle, _stop: drain.drop_guard() }
}

#[tokio::test]
async fn other_rules_hold_for_the_next_request_on_an_open_connection() {
    let service = echo().await;
    let gateway = live(settings(), vec![instance(service.addr, None)]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    let request = "GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n";
    wire.send(request).await;
    assert_eq!(wire.message().await.unwrap().status, 200);
    let mut other = settings();
    other.auth = Some(auth());
    other.routes = vec![Route::new("/a/**")];
    assert!(gateway.handle.apply(other).unwrap().after_restart.is_empty());
    wire.send(request).await;
    assert_eq!(wire.message().await.unwrap().status, 401);
}

#[tokio::test]
async fn no_request_fails_while_rules_change() {
    let service = echo().await;
    let gateway = live(settings(), vec![instance(service.addr, Some("v1"))]).await;
    let done = Arc::new(AtomicBool::new(false));
    let changing = {
        let (handle, done) = (gateway.handle.clone(), Arc::clone(&done));
        TaskTracker::new().spawn(async move {
            for number in 0..50 {
                let mut other = settings();
                other.traffic.retry.retries = number % 4;
                other.services[0].versions = vec![("v1".into(), 1 + u32::from(number))];
                if number % 2 == 0 {
                    other.services[0].versions.clear();
                    other.services.push(Service::new("b".parse().unwrap()));
                }
                handle.apply(other).unwrap();
                tokio::task::yield_now().await;
            }
            done.store(true, Ordering::SeqCst);
        })
    };
    let mut served = 0;
    while !done.load(Ordering::SeqCst) || served < 20 {
        let answer = get(gateway.addr, "/a/x").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        served += 1;
    }
    changing.await.unwrap();
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused_and_the_old_ones_stay() {
    let service = echo().await;
    let gateway = live(settings(), vec![instance(service.addr, None)]).await;
    let mut wrong = settings();
    wrong.services.clear();
    wrong.routes = vec![Route::new("no pattern")];
    assert!(gateway.handle.apply(wrong).is_err());
    assert_eq!(get(gateway.addr, "/a/x").await.status, 200);
}

#[tokio::test]
async fn a_service_that_is_offered_later_is_found_and_one_that_is_not_any_more_is_gone() {
    let service = echo().await;
    let later = Instance::new("b".parse().unwrap(), service.addr.into());
    let gateway = live(settings(), vec![instance(service.addr, None), later]).await;
    assert_eq!(get(gateway.addr, "/b/x").await.status, 404);
    let mut other = settings();
    other.services = vec![Service::new("b".parse().unwrap())];
    gateway.handle.apply(other).unwrap();
    let found = async { while get(gateway.addr, "/b/x").await.status != 200 {} };
    tokio::time::timeout(crate::support::LIMIT, found).await.unwrap();
    assert_eq!(get(gateway.addr, "/a/x").await.status, 404);
}

#[tokio::test]
async fn what_was_counted_counts_on_when_the_limit_is_the_same() {
    let service = echo().await;
    let mut settings = settings();
    let mut limit = RateLimit::default();
    limit.requests = NonZeroU32::new(2).unwrap();
    settings.rate_limit = Some(limit.clone());
    let gateway = live(settings.clone(), vec![instance(service.addr, None)]).await;
    let ask = || get_with(gateway.addr, "/a/x", "X-Client-ID: one\r\n");
    assert_eq!(ask().await.status, 200);
    settings.timeouts.request = std::time::Duration::from_secs(3);
    gateway.handle.apply(settings.clone()).unwrap();
    assert_eq!(ask().await.status, 200);
    assert_eq!(ask().await.status, 429);
    limit.requests = NonZeroU32::new(5).unwrap();
    settings.rate_limit = Some(limit);
    gateway.handle.apply(settings).unwrap();
    assert_eq!(ask().await.status, 200, "another limit counts anew");
}

#[tokio::test]
async fn what_holds_only_after_a_restart_is_named() {
    let gateway = live(settings(), Vec::new()).await;
    let mut other = settings();
    other.listen = "127.0.0.1:1".parse().unwrap();
    other.workers = std::num::NonZeroUsize::new(7);
    let applied = gateway.handle.apply(other).unwrap();
    assert_eq!(applied.after_restart, ["listen", "workers"]);
}
