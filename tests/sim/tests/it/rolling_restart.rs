//! Every instance is restarted, one after the other, under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use http::StatusCode;
use regatta_discovery::Discover;
use regatta_discovery_consul::Options;
use regatta_sim::{
    Load, REGISTRY, consul, each_seed, host_name, instance, network, registry, run_instance,
};
use tokio_util::sync::CancellationToken;

use crate::world::{MILLISECOND, client, quick, registrar, restart};

const INSTANCES: usize = 4;
const LOAD: Load = Load { per_second: 40, lasting: Duration::from_secs(12) };

#[test]
fn a_rolling_restart_of_every_instance_fails_no_request_and_does_no_post_twice() {
    each_seed(|seed| {
        let mut sim = network(seed, Duration::from_secs(120));
        let disk = consul::Disk::default();
        let done = disk.clone();
        sim.host(REGISTRY, move || {
            let disk = disk.clone();
            async move { Ok(disk.serve().await?) }
        });
        let created = Arc::<AtomicU64>::default();
        let mut drains = Vec::new();
        for number in 0..INSTANCES {
            let drain = Arc::new(std::sync::Mutex::new(CancellationToken::new()));
            drains.push(Arc::clone(&drain));
            let created = Arc::clone(&created);
            sim.host(host_name("orders", number), move || {
                let (drain, created) = (drain.lock().unwrap().clone(), Arc::clone(&created));
                async move {
                    let registry = Arc::new(registry(Options::default()));
                    let me = instance("orders", number);
                    Ok(run_instance(routes(created), registry, me, registrar(), drain).await?)
                }
            });
        }
        let finished = Arc::<std::sync::atomic::AtomicBool>::default();
        let tell = Arc::clone(&finished);
        sim.client("caller", async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let registry: Arc<dyn Discover> = Arc::new(registry(Options::default()));
            let orders = client(&registry, "orders", quick());
            let report = LOAD
                .run(|number| {
                    let orders = orders.clone();
                    async move {
                        let call = if number % 2 == 0 { orders.get("/") } else { orders.post("/") };
                        let answer = call.send().await.map_err(|e| format!("{e}: {e:?}"))?;
                        match answer.status().is_success() {
                            true => Ok(()),
                            false => Err(answer.status().to_string()),
                        }
                    }
                })
                .await;
            println!("rolling restart: {report}");
            assert_eq!(report.failures, Vec::<String>::new());
            tell.store(true, Ordering::SeqCst);
            Ok(())
        });
        // Each is told to leave, has gone, and is started anew; then the next.
        for (number, drain) in drains.iter().enumerate() {
            restart(&mut sim, &host_name("orders", number), drain);
        }
        assert!(!finished.load(Ordering::SeqCst), "the load ended before the restarts did");
        sim.run().unwrap();
        assert_eq!(done.passing().len(), INSTANCES);
        let posts = u64::from(LOAD.per_second) * LOAD.lasting.as_secs() / 2;
        assert_eq!(created.load(Ordering::SeqCst), posts);
    });
}

fn routes(created: Arc<AtomicU64>) -> Router {
    let read = || async {
        tokio::time::sleep(MILLISECOND * 30).await;
        "read"
    };
    let create = move || async move {
        tokio::time::sleep(MILLISECOND * 30).await;
        created.fetch_add(1, Ordering::SeqCst);
        StatusCode::CREATED
    };
    Router::new().route("/", get(read)).route("/", post(create))
}
