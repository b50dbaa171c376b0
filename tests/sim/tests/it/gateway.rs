//! What a browser behind a gateway sees, under the gateway's own rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use http::{Method, StatusCode};
use regatta_client::ServiceClient;
use regatta_discovery::{Discover, MemoryRegistry};
use regatta_gateway::Traffic;
use regatta_resilience::hedge;
use regatta_sim::{Load, Report, each_seed, host_name, network, serve};
use tokio_util::sync::CancellationToken;

use crate::world::{MILLISECOND, client, gateways, plain, quick, register, unguarded};

const INSTANCES: usize = 10;
const LOAD: Load = Load { per_second: 60, lasting: Duration::from_secs(10) };
/// What an instance takes for an answer.
const WORK: Duration = Duration::from_millis(10);

#[test]
fn one_of_ten_instances_that_refuses_costs_no_read_and_few_writes() {
    each_seed(|seed| {
        let refuses = |number| match number {
            0 => (StatusCode::SERVICE_UNAVAILABLE, MILLISECOND),
            _ => (StatusCode::OK, WORK),
        };
        let (reads, writes) = run(seed, &Traffic::default(), refuses);
        println!("gateway, one of ten refuses: reads {reads}, writes {writes}");
        assert_eq!(reads.failures, Vec::<String>::new());
        assert!(writes.failed_share() < 0.02, "{writes}");
    });
}

#[test]
fn answers_that_hang_at_times_cost_reads_less_than_half_the_time_with_hedging() {
    each_seed(|seed| {
        // Every instance is slow once in twenty answers: no balancer can know when.
        let turn = Arc::<AtomicU64>::default();
        let at_times = move |_| match turn.fetch_add(1, Ordering::Relaxed) % 20 {
            0 => (StatusCode::OK, WORK * 100),
            _ => (StatusCode::OK, WORK),
        };
        let without = run(seed, &Traffic::default(), at_times.clone()).0;
        let mut hedging = Traffic::default();
        let learnt = hedge::Settings::default().with_minimum_calls(20).with_percentile(90);
        hedging.hedge = Some(learnt);
        let with = run(seed, &hedging, at_times).0;
        println!("gateway, answers that hang, not hedged: {without}\nhedged: {with}");
        assert!(with.quantile(0.97) < without.quantile(0.97) / 2, "{with}");
        assert_eq!(with.failures, Vec::<String>::new());
    });
}

#[test]
fn behind_a_gateway_attempts_at_a_hop_that_fails_stay_within_the_calls_and_the_budgets() {
    each_seed(|seed| {
        let attempts = Arc::<AtomicU64>::default();
        let count = Arc::clone(&attempts);
        let refuses = move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            (StatusCode::SERVICE_UNAVAILABLE, MILLISECOND)
        };
        let mut alone = Traffic::default();
        alone.cluster = unguarded();
        run(seed, &alone, refuses);
        let calls = u64::from(LOAD.per_second) * LOAD.lasting.as_secs();
        // 3 a second without a success, and those of the window before.
        let floor = 3 * (LOAD.lasting.as_secs() + 10);
        let attempts = attempts.load(Ordering::Relaxed);
        println!("gateway: {attempts} attempts at services that refuse, for {calls} calls");
        assert!((calls..=calls + floor).contains(&attempts), "{attempts}");
    });
}

/// Reads and writes of a browser through a gateway, by what each instance does with a request.
fn run(
    seed: u64,
    traffic: &Traffic,
    does: impl Fn(usize) -> (StatusCode, Duration) + Clone + Send + Sync + 'static,
) -> (Report, Report) {
    let mut sim = network(seed, Duration::from_secs(120));
    for number in 0..INSTANCES {
        let does = does.clone();
        sim.host(host_name("users", number), move || {
            let does = does.clone();
            async move {
                let answer = move || {
                    let (status, work) = does(number);
                    async move {
                        tokio::time::sleep(work).await;
                        status
                    }
                };
                Ok(serve(Router::new().fallback(answer), CancellationToken::new()).await?)
            }
        });
    }
    let options = gateways(traffic);
    sim.host(host_name("edge", 0), move || {
        let options = options.clone();
        async move {
            let registry = MemoryRegistry::new();
            register(&registry, "users", INSTANCES).await;
            let registry: Arc<dyn Discover> = Arc::new(registry);
            let users = client(&registry, "users", options);
            let forward = move |method: Method| {
                let call = if method == Method::GET { users.get("/") } else { users.post("/") };
                async move {
                    let answer = call.send().await;
                    answer.map_or(StatusCode::SERVICE_UNAVAILABLE, |answer| answer.status())
                }
            };
            Ok(serve(Router::new().fallback(forward), CancellationToken::new()).await?)
        }
    });
    let (give, reports) = std::sync::mpsc::channel();
    sim.client("browser", async move {
        let registry = MemoryRegistry::new();
        register(&registry, "edge", 1).await;
        let registry: Arc<dyn Discover> = Arc::new(registry);
        let mut options = quick();
        // A browser repeats nothing by itself.
        options.retry = plain().retry;
        options.cluster = unguarded();
        let edge = client(&registry, "edge", options);
        let half = Load { per_second: LOAD.per_second / 2, ..LOAD };
        let reads = half.run(|_| call(&edge, Method::GET));
        let writes = half.run(|_| call(&edge, Method::POST));
        give.send(tokio::join!(reads, writes))?;
        Ok(())
    });
    sim.run().unwrap();
    reports.try_recv().unwrap()
}

fn call(
    edge: &ServiceClient,
    method: Method,
) -> impl Future<Output = Result<(), String>> + Send + use<> {
    let call = if method == Method::GET { edge.get("/") } else { edge.post("/") }.send();
    async move {
        let status = call.await.map_err(|error| error.to_string())?.status();
        if status.is_success() { Ok(()) } else { Err(status.to_string()) }
    }
}
