//! Four hops, of which the last fails every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use regatta_discovery::{Discover, MemoryRegistry};
use regatta_sim::{Load, each_seed, host_name, network, serve};
use regatta_traffic::cluster::Policies;
use tokio_util::sync::CancellationToken;

use crate::world::{client, quick, register, unguarded};

const HOPS: [&str; 4] = ["one", "two", "three", "four"];
const LOAD: Load = Load { per_second: 20, lasting: Duration::from_secs(15) };
/// What a budget without successes gives in the time of the load: 3 a second, and those of the
/// window of 10 s at its beginning.
const FLOOR: u64 = 3 * (15 + 10);

#[test]
fn attempts_at_a_last_hop_that_fails_stay_within_the_calls_and_the_budgets_of_the_hops() {
    each_seed(|seed| {
        let calls = u64::from(LOAD.per_second) * LOAD.lasting.as_secs();
        let attempts = run(seed, |_| ());
        println!("breakers on: {attempts} attempts at the last hop for {calls} calls");
        assert!(attempts <= calls + 3 * FLOOR, "{attempts}");

        // Without breakers the budgets and the chain stop are alone.
        let attempts = run(seed, |policies| *policies = unguarded());
        let naive = calls * 27;
        println!("breakers off: {attempts}, of {naive} if each of three callers made three tries");
        assert!((calls..=calls + 3 * FLOOR).contains(&attempts), "{attempts}");
    });
}

/// How often the last hop was called.
fn run(seed: u64, change: fn(&mut Policies)) -> u64 {
    let mut sim = network(seed, Duration::from_secs(120));
    let registry = MemoryRegistry::new();
    let attempts = Arc::<AtomicU64>::default();
    for (number, hop) in HOPS.into_iter().enumerate() {
        let (registry, attempts) = (registry.clone(), Arc::clone(&attempts));
        sim.host(host_name(hop, 0), move || {
            let (registry, attempts) = (registry.clone(), Arc::clone(&attempts));
            async move {
                let registry: Arc<dyn Discover> = Arc::new(registry);
                let routes = match HOPS.get(number + 1) {
                    Some(next) => relay(&registry, next, change),
                    None => Router::new().fallback(move || {
                        attempts.fetch_add(1, Ordering::Relaxed);
                        std::future::ready(StatusCode::SERVICE_UNAVAILABLE)
                    }),
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
        // The first caller is a browser: it does not retry.
        let mut options = quick();
        options.retry.tries = 1;
        change(&mut options.cluster);
        let first = client(&registry, HOPS[0], options);
        let report = LOAD
            .run(|_| {
                let call = first.get("/").send();
                async move { call.await.map(drop).map_err(|error| error.to_string()) }
            })
            .await;
        println!("caller: {report}");
        Ok(())
    });
    sim.run().unwrap();
    attempts.load(Ordering::Relaxed)
}

fn relay(registry: &Arc<dyn Discover>, next: &str, change: fn(&mut Policies)) -> Router {
    let mut options = quick();
    change(&mut options.cluster);
    let next = client(registry, next, options);
    Router::new().fallback(move || {
        let call = next.get("/").send();
        async move { call.await.map_or(StatusCode::SERVICE_UNAVAILABLE, |answer| answer.status()) }
    })
}
