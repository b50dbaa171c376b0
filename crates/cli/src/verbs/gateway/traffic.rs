//! The manifest's traffic rules as the gateway's.

use std::time::Duration;

use regatta_gateway::Traffic;
use regatta_manifest as manifest;
use regatta_resilience::breaker::SlowCalls;
use regatta_resilience::concurrency::Adaptive;
use regatta_resilience::{breaker, concurrency, hedge, outlier};
use regatta_traffic::cluster::SlowStart;

use super::convert::set;
use crate::failure::Failure;

/// Share of slow calls that opens a breaker when the manifest says only what slow is.
const SLOW_PERCENT: u32 = 50;

/// Converts; what the manifest leaves open stays the gateway's default.
pub(super) fn traffic(from: &manifest::Traffic) -> Result<Traffic, Failure> {
    let mut to = Traffic::default();
    let cluster = &mut to.cluster;
    if let Some(balance) = &from.balance {
        cluster.balance = balance.parse()?;
    }
    if let Some(hash_on) = &from.hash_on {
        to.hash_on = hash_on.parse()?;
    }
    cluster.zone = from.zone.clone();
    match from.slow_start {
        None => (),
        Some(Duration::ZERO) => cluster.slow_start = SlowStart::OFF,
        Some(window) => cluster.slow_start.window = window,
    }
    if let Some(manifest::Switch::On(from)) = &from.hedge {
        to.hedge = Some(hedge(from));
    }
    match &from.breaker {
        None => (),
        Some(manifest::Switch::Off) => (cluster.breaker, cluster.service_breaker) = (None, None),
        Some(manifest::Switch::On(from)) => cluster.breaker = Some(breaker(from)),
    }
    match &from.outlier {
        None => (),
        Some(manifest::Switch::Off) => cluster.outlier = None,
        Some(manifest::Switch::On(from)) => cluster.outlier = Some(outlier(from)),
    }
    match &from.concurrency {
        None => (),
        Some(manifest::Switch::Off) => to.concurrency = None,
        Some(manifest::Switch::On(from)) => to.concurrency = Some(concurrency(from)),
    }
    let retry = &mut to.retry;
    set(from.retries, &mut retry.retries);
    retry.try_timeout = from.try_timeout.or(retry.try_timeout);
    set(from.retry_budget_percent, &mut retry.budget_percent);
    set(from.retry_budget_floor, &mut retry.budget_floor);
    Ok(to)
}

fn hedge(from: &manifest::Hedge) -> hedge::Settings {
    let mut to = hedge::Settings::default();
    set(from.percentile, &mut to.percentile);
    set(from.minimum_calls, &mut to.minimum_calls);
    set(from.least, &mut to.least);
    set(from.most, &mut to.most);
    to
}

fn breaker(from: &manifest::Breaker) -> breaker::Settings {
    let mut to = breaker::Settings::default();
    set(from.failures, &mut to.failure_threshold);
    to.failure_percent = from.failure_percent.or(to.failure_percent);
    set(from.window, &mut to.window);
    set(from.minimum_calls, &mut to.minimum_calls);
    set(from.open_for, &mut to.open_for);
    set(from.probes, &mut to.probes);
    to.slow = from
        .slow_call
        .map(|at_least| SlowCalls { at_least, percent: from.slow_percent.unwrap_or(SLOW_PERCENT) });
    to
}

fn outlier(from: &manifest::Outlier) -> outlier::Settings {
    let mut to = outlier::Settings::default();
    set(from.failures, &mut to.consecutive_failures);
    set(from.eject_for, &mut to.base_ejection);
    set(from.most, &mut to.max_ejection);
    set(from.max_ejected_percent, &mut to.max_ejected_percent);
    set(from.panic_percent, &mut to.panic_percent);
    to
}

fn concurrency(from: &manifest::Concurrency) -> concurrency::Settings {
    let mut to = from.limit.map_or_else(Default::default, concurrency::Settings::new);
    set(from.queue, &mut to.queue);
    set(from.queue_timeout, &mut to.queue_timeout);
    set(from.reserved_percent, &mut to.reserved_percent);
    to.adaptive = from.adaptive.unwrap_or(false).then(Adaptive::default);
    to
}

#[cfg(test)]
mod tests {
    use regatta_manifest::Manifest;
    use regatta_traffic::balance::Strategy;

    use super::*;

    const TEXT: &str = "
name: shop
services:
  user:
    run: { cargo: user }
    traffic:
      balance: consistent_hash
      hash_on: cookie:session
      retries: 3
      retry_budget: { percent: 10, floor: 1 }
      breaker: { failures: 2, open_for: 1s, slow_call: 2s }
  order:
    run: { cargo: order }
    traffic: { breaker: none, hedge: none, concurrency: { limit: 8, queue_timeout: 1s } }
gateway:
  traffic:
    zone: eu-1
    slow_start: none
    try_timeout: 500ms
    retries: 0
    hedge: { percentile: 90, most: 200ms }
    outlier: { failures: 3, eject_for: 5s, most: 50s, max_ejected_percent: 20, panic_percent: 0 }
";

    #[test]
    fn what_a_service_says_comes_before_what_all_share() {
        let manifest = Manifest::parse(TEXT, "regatta.yaml").unwrap();
        let of = |name: &str| {
            let own = &manifest.service(name).unwrap().traffic;
            traffic(&own.or(&manifest.gateway.traffic)).unwrap()
        };
        let user = of("user");
        assert_eq!(user.cluster.balance, Strategy::ConsistentHash);
        assert_eq!(user.hash_on.to_string(), "cookie:session");
        assert_eq!((user.retry.retries, user.retry.budget_percent), (3, 10));
        assert_eq!(user.retry.try_timeout, Some(Duration::from_millis(500)));
        let hedge = user.hedge.clone().unwrap();
        assert_eq!((hedge.percentile, hedge.most.as_millis()), (90, 200));
        assert_eq!(hedge.minimum_calls, 100, "the default");
        let breaker = user.cluster.breaker.clone().unwrap();
        assert_eq!((breaker.failure_threshold, breaker.open_for.as_secs()), (2, 1));
        assert_eq!(breaker.slow.unwrap().at_least.as_secs(), 2);
        assert_eq!(user.cluster.zone.as_deref(), Some("eu-1"));
        assert_eq!(user.cluster.slow_start, SlowStart::OFF);
        let outlier = user.cluster.outlier.clone().unwrap();
        assert_eq!((outlier.consecutive_failures, outlier.base_ejection.as_secs()), (3, 5));
        assert_eq!((outlier.max_ejected_percent, outlier.panic_percent), (20, 0));
        let order = of("order");
        assert_eq!((order.cluster.breaker.clone(), order.retry.retries), (None, 0));
        assert_eq!(order.hedge, None);
        let concurrency = order.concurrency.unwrap();
        assert_eq!((concurrency.limit, concurrency.queue), (8, 2));
        assert_eq!(concurrency.queue_timeout.as_secs(), 1);
        user.cluster.validate().unwrap();
    }
}
