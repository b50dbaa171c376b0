//! Start without a registry, limits on connections, drain.

use std::sync::Arc;

use regatta_discovery::MemoryRegistry;
use regatta_gateway::{BindError, Gateway};
use tokio::io::AsyncWriteExt;

use crate::support::{LIMIT, Message, Wire, echo, get, ok, settings, start, upstream};

#[tokio::test]
async fn it_starts_and_answers_while_the_registry_is_away() {
    let registry = MemoryRegistry::default();
    registry.set_away(true);
    let gateway = Gateway::bind(settings(), Arc::new(registry)).await.unwrap();
    let addr = gateway.addr();
    let drain = tokio_util::sync::CancellationToken::new();
    let stop = drain.clone();
    let tasks = tokio_util::task::TaskTracker::new();
    let ended = tasks.spawn(async move { gateway.run(stop).await });
    assert_eq!(get(addr, "/health/ready").await.status, 200);
    assert_eq!(get(addr, "/a/x").await.status, 503);
    drain.cancel();
    tokio::time::timeout(LIMIT, ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named_also_when_a_gateway_has_it() {
    let gateway = start(settings(), &[]).await;
    let mut settings = settings();
    settings.listen = gateway.addr;
    let registry = Arc::new(MemoryRegistry::default());
    let error = Gateway::bind(settings, registry).await.unwrap_err();
    assert!(matches!(error, BindError::Listen { address, .. } if address == gateway.addr));
    assert!(error.to_string().contains(&gateway.addr.to_string()));
}

#[tokio::test]
async fn connections_over_the_limit_are_turned_away() {
    let mut settings = settings();
    settings.limits.connections = 2;
    let gateway = start(settings, &[]).await;
    let held = [Wire::connect(gateway.addr).await, Wire::connect(gateway.addr).await];
    let refused = async {
        loop {
            let mut wire = Wire::connect(gateway.addr).await;
            if let Some(answer) = wire.head().await
                && answer.status == 503
            {
                assert_eq!(answer.field("content-type"), Some("application/problem+json"));
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, refused).await.unwrap();
    drop(held);
    let served = async {
        loop {
            let mut wire = Wire::connect(gateway.addr).await;
            _ = wire.stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n").await;
            if wire.head().await.is_some_and(|answer| answer.status == 200) {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, served).await.unwrap();
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_closes_what_is_idle() {
    let (started, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let release = Arc::new(std::sync::Barrier::new(2));
    let gate = Arc::clone(&release);
    let service = upstream(Arc::new(move |_, _: &Message| {
        _ = started.send(());
        tokio::task::block_in_place(|| gate.wait());
        (ok(b"done"), false)
    }));
    // The script blocks its thread, so it lives on a runtime of its own.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let service = runtime.spawn(service).await.unwrap();
    let mut gateway = start(settings(), &[service.addr]).await;
    let mut idle = Wire::connect(gateway.addr).await;
    idle.send("GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(idle.message().await.unwrap().status, 200);
    let mut busy = Wire::connect(gateway.addr).await;
    busy.send("GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await;
    tokio::time::timeout(LIMIT, begun.recv()).await.unwrap().unwrap();

    gateway.drain.cancel();
    assert!(idle.rest().await.is_empty(), "an idle connection closes");
    tokio::task::spawn_blocking(move || release.wait()).await.unwrap();
    let answer = busy.message().await.unwrap();
    assert_eq!(answer.text(), "done");
    assert!(busy.rest().await.is_empty());
    let ended = gateway.ended.take().unwrap();
    tokio::time::timeout(LIMIT, ended).await.unwrap().unwrap();
    runtime.shutdown_background();
}

#[tokio::test]
async fn instances_that_come_and_go_are_followed() {
    let registry = MemoryRegistry::default();
    let service = echo().await;
    let gateway = Gateway::bind(settings(), Arc::new(registry.clone())).await.unwrap();
    let addr = gateway.addr();
    let drain = tokio_util::sync::CancellationToken::new();
    let _stop = drain.clone().drop_guard();
    tokio_util::task::TaskTracker::new().spawn(async move { gateway.run(drain).await });
    assert_eq!(get(addr, "/a/x").await.status, 503);
    let registration =
        regatta_discovery::Registration::new(crate::support::instance(service.addr, None));
    regatta_discovery::Register::register(&registry, &registration).await.unwrap();
    let found = async { while get(addr, "/a/x").await.status != 200 {} };
    tokio::time::timeout(LIMIT, found).await.unwrap();
    registry.set_away(true);
    assert_eq!(get(addr, "/a/x").await.status, 200, "the last known set is kept");
}

/// What broke: after `kill -9` under load the breaker of the instance stayed open for a minute,
/// though it was back and the registry said so.
#[tokio::test]
async fn an_instance_that_was_restarted_is_used_at_once_whatever_its_breaker_said() {
    let failing = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let fails = Arc::clone(&failing);
    let service = upstream(Arc::new(move |_, _: &Message| {
        let down = fails.load(std::sync::atomic::Ordering::SeqCst);
        let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        (if down { answer.as_bytes().to_vec() } else { ok(b"x") }, false)
    }))
    .await;
    let registry = MemoryRegistry::default();
    let register = async |life: u64| {
        let mut instance = crate::support::instance(service.addr, None);
        instance.incarnation = life;
        let registration = regatta_discovery::Registration::new(instance);
        regatta_discovery::Register::register(&registry, &registration).await.unwrap();
    };
    register(1).await;
    let gateway = Gateway::bind(settings(), Arc::new(registry.clone())).await.unwrap();
    let addr = gateway.addr();
    let drain = tokio_util::sync::CancellationToken::new();
    let _stop = drain.clone().drop_guard();
    tokio_util::task::TaskTracker::new().spawn(async move { gateway.run(drain).await });
    let open = async {
        while get(addr, "/a/x").await.field("content-type") != Some("application/problem+json") {}
    };
    tokio::time::timeout(LIMIT, open).await.unwrap();
    failing.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(get(addr, "/a/x").await.status, 503, "the breaker is open for a minute");
    register(2).await;
    let back = async { while get(addr, "/a/x").await.status != 200 {} };
    tokio::time::timeout(LIMIT, back).await.unwrap();
}
