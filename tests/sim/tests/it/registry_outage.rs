//! The registry goes away, is cut off, loses its memory and comes back, under load.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use regatta_discovery::{Discover, Freshness};
use regatta_discovery_consul::Options;
use regatta_sim::{
    Load, REGISTRY, consul, each_seed, host_name, instance, network, registry, run_instance,
};
use tokio_util::sync::CancellationToken;

use crate::world::{client, quick, registrar, step};

const INSTANCES: usize = 3;
const LOAD: Load = Load { per_second: 20, lasting: Duration::from_secs(40) };
/// Within this a registry that is back is whole again: a verification of the registrar, the longest
/// backoff of whoever asks, and a check. All are set to 1 s here.
const TTL: Duration = Duration::from_secs(3);

#[test]
fn a_registry_away_cut_off_wiped_and_back_fails_no_request_and_keeps_no_ghost() {
    each_seed(|seed| {
        let mut sim = network(seed, Duration::from_secs(120));
        let disk = consul::Disk::default();
        let kept = disk.clone();
        sim.host(REGISTRY, move || {
            let disk = disk.clone();
            async move { Ok(disk.serve().await?) }
        });
        for number in 0..INSTANCES {
            sim.host(host_name("users", number), move || async move {
                let routes = Router::new().fallback(|| async { "hello" });
                let registry = Arc::new(registry(patient()));
                let me = instance("users", number);
                let never = CancellationToken::new();
                Ok(run_instance(routes, registry, me, registrar(), never).await?)
            });
        }
        let (give, watched) = std::sync::mpsc::channel();
        sim.client("caller", async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let registry: Arc<dyn Discover> = Arc::new(registry(patient()));
            give.send(registry.watch(&"users".parse()?))?;
            let users = client(&registry, "users", quick());
            let report = LOAD
                .run(|_| {
                    let call = users.get("/").send();
                    async move {
                        let answer = call.await.map_err(|error| error.to_string())?;
                        let status = answer.status();
                        if status.is_success() { Ok(()) } else { Err(status.to_string()) }
                    }
                })
                .await;
            println!("registry outages: {report}");
            assert_eq!(report.failures, Vec::<String>::new());
            Ok(())
        });
        step(&mut sim, Duration::from_secs(3));
        let watch = watched.recv().unwrap();
        let known = |sim: &mut turmoil::Sim<'_>, within: Duration, count: usize| {
            step(sim, within);
            let set = watch.current();
            assert_eq!((set.instances.len(), set.freshness), (count, Freshness::Fresh));
        };
        known(&mut sim, Duration::ZERO, INSTANCES);

        // Away, and back with its memory.
        sim.crash(REGISTRY);
        step(&mut sim, Duration::from_secs(5));
        assert_eq!(watch.current().instances.len(), INSTANCES);
        assert!(matches!(watch.current().freshness, Freshness::Stale { .. }));
        sim.bounce(REGISTRY);
        known(&mut sim, TTL, INSTANCES);

        // Wiped: the instances make themselves known again.
        sim.crash(REGISTRY);
        kept.wipe();
        sim.bounce(REGISTRY);
        known(&mut sim, TTL, INSTANCES);
        assert_eq!(kept.passing().len(), INSTANCES);

        // Cut off from the caller, while an instance dies: no ghost once it is heard of.
        sim.partition(REGISTRY, "caller");
        step(&mut sim, Duration::from_secs(3));
        sim.crash(host_name("users", 0));
        step(&mut sim, Duration::from_secs(4));
        assert_eq!(watch.current().instances.len(), INSTANCES);
        sim.repair(REGISTRY, "caller");
        known(&mut sim, Duration::from_secs(8), INSTANCES - 1);
        sim.run().unwrap();
    });
}

/// The defaults, but that whoever waits for the registry looks again every second.
fn patient() -> Options {
    let mut options = Options::default();
    options.max_backoff = Duration::from_secs(1);
    options.timeout = Duration::from_secs(1);
    options.wait = Duration::from_secs(2);
    options
}
