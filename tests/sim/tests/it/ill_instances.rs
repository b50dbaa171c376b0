//! What callers of ten instances see when one fails or is slow.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use regatta_client::Options;
use regatta_discovery::{Discover, MemoryRegistry};
use regatta_sim::{Load, Report, each_seed, host_name, network, serve};
use tokio_util::sync::CancellationToken;

use crate::world::{MILLISECOND, client, plain, quick, register};

const INSTANCES: usize = 10;
const LOAD: Load = Load { per_second: 60, lasting: Duration::from_secs(10) };
/// What an instance takes for an answer.
const WORK: Duration = Duration::from_millis(10);

/// What is wrong with the first instance.
#[derive(Clone, Copy, Debug)]
enum Ill {
    /// It answers 500 to everything.
    Fails,
    /// It answers 503 to everything.
    Refuses,
    /// It takes 50 times as long.
    IsSlow,
}

#[test]
fn one_of_ten_instances_that_fails_costs_few_calls() {
    each_seed(|seed| {
        let (plain, ours) = (run(seed, Ill::Fails, plain()), run(seed, Ill::Fails, quick()));
        println!("one of ten fails, plain: {plain}\none of ten fails, ours: {ours}");
        assert!((0.08..0.12).contains(&plain.failed_share()), "{plain}");
        // A 500 is never repeated, so those that find it out are lost.
        assert!(ours.failed_share() < plain.failed_share() / 10.0, "{ours}");
    });
}

#[test]
fn one_of_ten_instances_that_refuses_costs_no_call() {
    each_seed(|seed| {
        let (plain, ours) = (run(seed, Ill::Refuses, plain()), run(seed, Ill::Refuses, quick()));
        println!("one of ten refuses, plain: {plain}\none of ten refuses, ours: {ours}");
        assert!((0.08..0.12).contains(&plain.failed_share()), "{plain}");
        assert_eq!(ours.failures, Vec::<String>::new(), "{ours}");
    });
}

#[test]
fn one_of_ten_instances_that_is_fifty_times_slower_is_kept_out_of_the_slowest_hundredth() {
    each_seed(|seed| {
        let (plain, ours) = (run(seed, Ill::IsSlow, plain()), run(seed, Ill::IsSlow, quick()));
        println!("one of ten is slow, plain: {plain}\none of ten is slow, ours: {ours}");
        assert!(plain.quantile(0.99) >= WORK * 50, "{plain}");
        assert!(ours.quantile(0.99) < plain.quantile(0.99) / 4, "{ours}");
        assert_eq!(ours.failures, Vec::<String>::new(), "{ours}");
    });
}

fn run(seed: u64, ill: Ill, options: Options) -> Report {
    let mut sim = network(seed, Duration::from_secs(120));
    for number in 0..INSTANCES {
        sim.host(host_name("users", number), move || async move {
            let answer = move || async move {
                let (status, work) = match (number, ill) {
                    (0, Ill::Fails) => (StatusCode::INTERNAL_SERVER_ERROR, MILLISECOND),
                    (0, Ill::Refuses) => (StatusCode::SERVICE_UNAVAILABLE, MILLISECOND),
                    (0, Ill::IsSlow) => (StatusCode::OK, WORK * 50),
                    _ => (StatusCode::OK, WORK),
                };
                tokio::time::sleep(work).await;
                status
            };
            Ok(serve(Router::new().fallback(answer), CancellationToken::new()).await?)
        });
    }
    let (give, report) = std::sync::mpsc::channel();
    sim.client("caller", async move {
        let registry = MemoryRegistry::new();
        register(&registry, "users", INSTANCES).await;
        let registry: Arc<dyn Discover> = Arc::new(registry);
        let users = client(&registry, "users", options);
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
        give.send(report)?;
        Ok(())
    });
    sim.run().unwrap();
    report.try_recv().unwrap()
}
