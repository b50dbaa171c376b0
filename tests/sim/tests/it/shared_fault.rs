//! What callers see of a short fault that all instances share, such as their database's.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use regatta_client::Options;
use regatta_discovery::{Discover, MemoryRegistry};
use regatta_gateway::Traffic;
use regatta_sim::{Load, each_seed, host_name, network, serve};
use tokio_util::sync::CancellationToken;

use crate::world::{client, gateways, quick, register};

const LOAD: Load = Load { per_second: 50, lasting: Duration::from_secs(20) };
const FAULT: std::ops::Range<Duration> = Duration::from_secs(5)..Duration::from_secs(6);
/// How long calls may still fail after the fault.
const AFTERWARDS: Duration = Duration::from_secs(1);

#[test]
fn a_fault_of_one_second_that_all_instances_share_costs_callers_no_more_than_that() {
    each_seed(|seed| {
        for (instances, rules) in [(2, quick()), (10, quick()), (10, gateways(&Traffic::default()))]
        {
            let failed = run(seed, instances, rules);
            println!("{instances} instances: {} calls failed, {failed:?}", failed.len());
            assert!(failed.len() > 20, "{failed:?}");
            for at in failed {
                assert!(FAULT.start <= at && at < FAULT.end + AFTERWARDS, "failed at {at:?}");
            }
        }
    });
}

/// When the calls began that failed.
fn run(seed: u64, instances: usize, options: Options) -> Vec<Duration> {
    let mut sim = network(seed, Duration::from_secs(120));
    for number in 0..instances {
        sim.host(host_name("users", number), || async {
            let answer = || async {
                if FAULT.contains(&turmoil::sim_elapsed().unwrap()) {
                    StatusCode::INTERNAL_SERVER_ERROR
                } else {
                    StatusCode::OK
                }
            };
            Ok(serve(Router::new().fallback(answer), CancellationToken::new()).await?)
        });
    }
    let (give, failed) = std::sync::mpsc::channel();
    sim.client("caller", async move {
        let registry = MemoryRegistry::new();
        register(&registry, "users", instances).await;
        let registry: Arc<dyn Discover> = Arc::new(registry);
        let users = client(&registry, "users", options);
        LOAD.run(|_| {
            let (call, give) = (users.get("/").send(), give.clone());
            async move {
                let began = turmoil::sim_elapsed().unwrap();
                let answer = call.await;
                if !answer.is_ok_and(|answer| answer.status().is_success()) {
                    give.send(began).unwrap();
                }
                Ok(())
            }
        })
        .await;
        Ok(())
    });
    sim.run().unwrap();
    drop(sim);
    failed.try_iter().collect()
}
