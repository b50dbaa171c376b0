//! The manifest's traffic rules as the gateway's.

use std::time::Duration;

use regatta_gateway::Traffic;
use regatta_manifest as manifest;
use regatta_resilience::breaker::SlowCalls;
use regatta_resilience::concurrency::Adaptive;
use regatta_resilience::{breaker, concurrency, hedge, outlier};
use regatta_traffic::cluster::SlowStart;
use regatta_traffic::fault::{Condition, FailureOn};

use super::convert::set;
use crate::failure::Failure;

/// Share of slow calls that opens a breaker when the manifest says only what slow is: that of the
/// calls of services.
const SLOW_PERCENT: u32 = 80;

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
    match from.hash_load_percent {
        None => (),
        Some(0) => cluster.hash_load_percent = None,
        percent => cluster.hash_load_percent = percent,
    }
    cluster.zone = from.zone.clone();
    match from.slow_start {
        None => (),
        Some(Duration::ZERO) => cluster.slow_start = SlowStart::OFF,
        Some(window) => cluster.slow_start.window = window,
    }
    set(from.slow_start_percent, &mut cluster.slow_start.least_percent);
    if let Some(words) = &from.failure_on {
        let conditions = words.iter().map(|word| word.parse::<Condition>());
        cluster.failure_on = FailureOn::new(conditions.collect::<Result<Vec<_>, _>>()?);
    }
    if let Some(manifest::Switch::On(from)) = &from.hedge {
        to.hedge = Some(hedge(from));
    }
    match &from.breaker {
        None => (),
        Some(manifest::Switch::Off) => (cluster.breaker, cluster.service_breaker) = (None, None),
        Some(manifest::Switch::On(from)) => {
            cluster.breaker = Some(breaker(from, breaker::Settings::default()));
        }
    }
    match &from.service_breaker {
        None => (),
        Some(manifest::Switch::Off) => cluster.service_breaker = None,
        Some(manifest::Switch::On(from)) => {
            // Its own defaults, also where the instances' breakers are off.
            let default = Traffic::default().cluster.service_breaker.unwrap_or_default();
            cluster.service_breaker = Some(breaker(from, default));
        }
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
    set(from.first_backoff, &mut retry.backoff);
    set(from.most_backoff, &mut retry.most_backoff);
    set(from.most_retry_after, &mut retry.most_retry_after);
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

fn breaker(from: &manifest::Breaker, mut to: breaker::Settings) -> breaker::Settings {
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
    set(from.interval, &mut to.interval);
    match &from.success_rate {
        None => (),
        Some(manifest::Switch::Off) => to.success_rate = None,
        Some(manifest::Switch::On(from)) => to.success_rate = Some(success_rate(from)),
    }
    set(from.eject_for, &mut to.base_ejection);
    set(from.most, &mut to.max_ejection);
    set(from.max_ejected_percent, &mut to.max_ejected_percent);
    set(from.panic_percent, &mut to.panic_percent);
    to
}

fn success_rate(from: &manifest::SuccessRate) -> outlier::SuccessRate {
    let mut to = outlier::SuccessRate::default();
    set(from.instances, &mut to.minimum_instances);
    set(from.calls, &mut to.minimum_calls);
    set(from.deviation_thousandths, &mut to.deviation_thousandths);
    to
}

fn concurrency(from: &manifest::Concurrency) -> concurrency::Settings {
    let mut to = from.limit.map_or_else(Default::default, concurrency::Settings::new);
    set(from.queue, &mut to.queue);
    set(from.queue_timeout, &mut to.queue_timeout);
    set(from.reserved_percent, &mut to.reserved_percent);
    to.adaptive = from.adaptive.unwrap_or(false).then(|| {
        let mut adaptive = Adaptive::default();
        set(from.least, &mut adaptive.least);
        set(from.most, &mut adaptive.most);
        set(from.tolerance_percent, &mut adaptive.tolerance_percent);
        adaptive
    });
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
    #[test]
    fn every_rule_has_a_key_and_what_a_key_leaves_open_keeps_its_default() {
        const TRAFFIC: &str = "{ hash_load_percent: 150, slow_start_percent: 20, first_backoff: 0s, \
            most_backoff: 1s, most_retry_after: 3s, failure_on: [timeout, 429, grpc:UNAVAILABLE], \
            breaker: { slow_call: 1s }, service_breaker: { failure_percent: 40, window: 3s, \
            minimum_calls: 8, open_for: 2s, probes: 3 }, outlier: { interval: 2s, success_rate: \
            { instances: 3, calls: 10, deviation_thousandths: 1500 } }, concurrency: { limit: 50, \
            adaptive: true, least: 2, most: 60, tolerance_percent: 200, reserved_percent: 0 } }";
        let traffic = of(TRAFFIC);
        let seconds = Duration::from_secs;
        let Traffic { cluster, retry, concurrency, .. } = traffic;
        assert_eq!((cluster.hash_load_percent, cluster.slow_start.least_percent), (Some(150), 20));
        assert_eq!((retry.backoff, retry.most_backoff), (Duration::ZERO, seconds(1)));
        assert_eq!(retry.most_retry_after, seconds(3));
        let unavailable = Condition::Grpc(regatta_core::Code::Unavailable);
        let conditions = [Condition::Timeout, Condition::Status(429), unavailable];
        assert_eq!(cluster.failure_on.conditions(), conditions);
        assert_eq!(cluster.breaker.clone().unwrap().slow.unwrap().percent, 80);
        let service = breaker::Settings::default()
            .with_failure_threshold(u32::MAX)
            .with_failure_percent(Some(40))
            .with_window(seconds(3), 8)
            .with_open_for(seconds(2))
            .with_probes(3);
        assert_eq!(cluster.service_breaker, Some(service));
        let outlier = cluster.outlier.clone().unwrap();
        let rate = outlier.success_rate.unwrap();
        assert_eq!((outlier.interval, outlier.consecutive_failures), (seconds(2), 5));
        assert_eq!((rate.minimum_instances, rate.minimum_calls), (3, 10));
        assert_eq!(rate.deviation_thousandths, 1500);
        let concurrency = concurrency.unwrap();
        let adaptive = concurrency.adaptive.unwrap();
        assert_eq!((adaptive.least, adaptive.most, adaptive.tolerance_percent), (2, 60, 200));
        assert_eq!(concurrency.reserved_percent, 0);
        cluster.validate().unwrap();
    }

    #[test]
    fn a_rule_that_is_switched_off_leaves_the_others() {
        let traffic =
            of("{ hash_load_percent: none, failure_on: [], outlier: { success_rate: none }, \
                          breaker: none, service_breaker: { probes: 2 } }");
        let cluster = traffic.cluster;
        assert_eq!((cluster.hash_load_percent, cluster.breaker), (None, None));
        assert_eq!(cluster.failure_on.conditions(), []);
        assert_eq!(cluster.outlier.unwrap().success_rate, None);
        let service = cluster.service_breaker.unwrap();
        assert_eq!((service.failure_percent, service.probes), (Some(90), 2));
        assert_eq!(of("{ breaker: none }").cluster.service_breaker, None);
        assert_eq!(of("{ service_breaker: none }").cluster.service_breaker, None);
        assert!(of("{ service_breaker: none }").cluster.breaker.is_some());
    }

    #[test]
    fn every_word_that_the_manifest_takes_is_one_of_the_gateways_and_the_other_way_round() {
        let words = Condition::KNOWN.split(", a status").next().unwrap();
        let all = format!("{{ failure_on: [{words}, 400, 599, grpc:cancelled] }}");
        assert_eq!(of(&all).cluster.failure_on.conditions().len(), 11);
    }

    #[test]
    fn an_unknown_word_is_told_with_its_line_and_with_those_that_are_known() {
        let text = format!("{SERVICE}\n    traffic: {{ failure_on: [5xx, timeouts] }}\n");
        let problems = Manifest::parse(&text, "regatta.yaml").unwrap_err().to_string();
        let place = "regatta.yaml:5:34: services.user.traffic.failure_on: ";
        assert!(problems.starts_with(place), "{problems}");
        assert!(problems.contains("did you mean `timeout`?"), "{problems}");
        assert!(problems.contains("connect, refused, refused_stream,"), "{problems}");
    }

    const SERVICE: &str = "name: shop\nservices:\n  user:\n    run: { cargo: user }";

    fn of(rules: &str) -> Traffic {
        let text = format!("{SERVICE}\n    traffic: {rules}\n");
        let manifest = Manifest::parse(&text, "regatta.yaml").unwrap();
        traffic(&manifest.service("user").unwrap().traffic).unwrap()
    }
}
