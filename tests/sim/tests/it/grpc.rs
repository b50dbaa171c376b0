//! gRPC calls: an ill instance, a chain whose end fails, a restart of every instance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use regatta_discovery::{Discover, MemoryRegistry};
use regatta_discovery_consul::Options as Consul;
use regatta_sim::{
    Load, REGISTRY, consul, each_seed, host_name, instance, network, registry, run_instance, serve,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::world::{MILLISECOND, channel, quick, register, registrar, restart, unguarded};

const LOAD: Load = Load { per_second: 40, lasting: Duration::from_secs(10) };

#[test]
fn one_of_ten_instances_that_is_unavailable_costs_no_call_though_none_may_be_done_twice() {
    each_seed(|seed| {
        let mut sim = network(seed, Duration::from_secs(60));
        for number in 0..10 {
            sim.host(host_name("users", number), move || async move {
                let routes = if number == 0 { saying(Code::Unavailable) } else { healthy() };
                Ok(serve(routes, CancellationToken::new()).await?)
            });
        }
        sim.client("caller", async move {
            let registry = MemoryRegistry::new();
            register(&registry, "users", 10).await;
            let registry: Arc<dyn Discover> = Arc::new(registry);
            let users = channel(&registry, "users", quick());
            let report = LOAD.run(|_| check(users.clone())).await;
            println!("gRPC, one of ten is unavailable: {report}");
            assert_eq!(report.failures, Vec::<String>::new());
            Ok(())
        });
        sim.run().unwrap();
    });
}

#[test]
fn attempts_at_a_last_hop_that_is_unavailable_stay_within_the_budgets_of_the_hops() {
    each_seed(|seed| {
        let calls = u64::from(LOAD.per_second) * LOAD.lasting.as_secs();
        // What budgets without successes give: 3 a second, and those of the window before.
        let floor = 3 * (LOAD.lasting.as_secs() + 10);
        let attempts = chain(seed);
        println!("gRPC, three hops: {attempts} attempts at the last for {calls} calls");
        assert!((calls..=calls + 2 * floor).contains(&attempts), "{attempts}");
    });
}

#[test]
fn a_rolling_restart_of_every_instance_fails_no_call_and_does_none_twice() {
    each_seed(|seed| {
        let mut sim = network(seed, Duration::from_secs(120));
        let disk = consul::Disk::default();
        sim.host(REGISTRY, move || {
            let disk = disk.clone();
            async move { Ok(disk.serve().await?) }
        });
        let done = Arc::<AtomicU64>::default();
        let mut drains = Vec::new();
        for number in 0..3 {
            let drain = Arc::new(std::sync::Mutex::new(CancellationToken::new()));
            drains.push(Arc::clone(&drain));
            let done = Arc::clone(&done);
            sim.host(host_name("orders", number), move || {
                let (drain, done) = (drain.lock().unwrap().clone(), Arc::clone(&done));
                async move {
                    let registry = Arc::new(registry(Consul::default()));
                    let me = instance("orders", number);
                    Ok(run_instance(counting(done), registry, me, registrar(), drain).await?)
                }
            });
        }
        let finished = Arc::<AtomicBool>::default();
        let tell = Arc::clone(&finished);
        sim.client("caller", async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let registry: Arc<dyn Discover> = Arc::new(registry(Consul::default()));
            let orders = channel(&registry, "orders", quick());
            let report = LOAD.run(|_| check(orders.clone())).await;
            println!("gRPC, rolling restart: {report}");
            assert_eq!(report.failures, Vec::<String>::new());
            tell.store(true, Ordering::SeqCst);
            Ok(())
        });
        for (number, drain) in drains.iter().enumerate() {
            restart(&mut sim, &host_name("orders", number), drain);
        }
        assert!(!finished.load(Ordering::SeqCst), "the load ended before the restarts did");
        sim.run().unwrap();
        let calls = u64::from(LOAD.per_second) * LOAD.lasting.as_secs();
        assert_eq!(done.load(Ordering::SeqCst), calls);
    });
}

/// How often the last of three hops was called; the hops before it pass on what they get.
fn chain(seed: u64) -> u64 {
    const HOPS: [&str; 3] = ["one", "two", "three"];
    let mut sim = network(seed, Duration::from_secs(60));
    let (registry, attempts) = (MemoryRegistry::new(), Arc::<AtomicU64>::default());
    for (number, hop) in HOPS.into_iter().enumerate() {
        let (registry, attempts) = (registry.clone(), Arc::clone(&attempts));
        sim.host(host_name(hop, 0), move || {
            let (registry, attempts) = (registry.clone(), Arc::clone(&attempts));
            async move {
                let registry: Arc<dyn Discover> = Arc::new(registry);
                let routes = match HOPS.get(number + 1) {
                    None => Router::new().fallback(move || {
                        attempts.fetch_add(1, Ordering::Relaxed);
                        std::future::ready(answer(Code::Unavailable))
                    }),
                    Some(next) => {
                        let mut options = quick();
                        options.cluster = unguarded();
                        let next = channel(&registry, next, options);
                        let relay = move || {
                            let call = check_code(next.clone());
                            async move { answer(call.await.err().unwrap_or(Code::Internal)) }
                        };
                        Router::new().fallback(relay)
                    }
                };
                Ok(serve(routes, CancellationToken::new()).await?)
            }
        });
    }
    sim.client("caller", async move {
        for hop in HOPS {
            register(&registry, hop, 1).await;
        }
        let registry: Arc<dyn Discover> = Arc::new(registry);
        let mut options = quick();
        options.retry.tries = 1;
        options.cluster = unguarded();
        let first = channel(&registry, HOPS[0], options);
        LOAD.run(|_| check(first.clone())).await;
        Ok(())
    });
    sim.run().unwrap();
    attempts.load(Ordering::Relaxed)
}

async fn check(channel: regatta_client::Channel) -> Result<(), String> {
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    answer.map(drop).map_err(|status| format!("{status:?}"))
}

async fn check_code(channel: regatta_client::Channel) -> Result<(), Code> {
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    answer.map(drop).map_err(|status| status.code())
}

fn answer(code: Code) -> http::Response<Body> {
    Status::new(code, "expected by this simulation").into_http()
}

fn saying(code: Code) -> Router {
    Router::new().fallback(move || std::future::ready(answer(code)))
}

fn healthy() -> Router {
    let (_reporter, service) = tonic_health::server::health_reporter();
    Router::new().fallback_service(service)
}

/// Healthy after some work, each call of which counts.
fn counting(done: Arc<AtomicU64>) -> Router {
    healthy().layer(axum::middleware::from_fn(move |request, next: axum::middleware::Next| {
        let done = Arc::clone(&done);
        async move {
            tokio::time::sleep(MILLISECOND * 30).await;
            done.fetch_add(1, Ordering::SeqCst);
            next.run(request).await
        }
    }))
}
