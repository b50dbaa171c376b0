//! From what an operator set to what the client does.

use std::sync::Arc;

use regatta_client::{Options, Policies};
use regatta_resilience::breaker::{self, SlowCalls};
use regatta_resilience::concurrency::Adaptive;
use regatta_resilience::retry::Backoff;
use regatta_resilience::{concurrency, hedge, outlier};
use regatta_traffic::balance;

use super::{ClientSettings, ServiceCallSettings, Strategy, failure_on};

impl ClientSettings {
    /// The policies of all services, and of those with settings of their own.
    ///
    /// `zone` is where this process runs, if it is known.
    pub(crate) fn policies(&self, zone: Option<&str>) -> Policies {
        let policies = Policies::new(self.options(zone));
        self.services.0.iter().fold(policies, |policies, (name, own)| {
            policies.with_service(name.clone(), own.options(self, zone))
        })
    }

    fn options(&self, zone: Option<&str>) -> Options {
        let mut options = Options::default();
        options.timeout = self.timeout;
        options.try_timeout = self.try_timeout;
        options.connect_timeout = self.connect_timeout;
        options.discovery_timeout = self.discovery_timeout;
        options.retry.tries = self.tries;
        // The longest bounds the first, too.
        let first = self.first_backoff.min(self.most_backoff);
        if let Ok(backoff) = Backoff::try_new(first, self.most_backoff) {
            options.retry.backoff = backoff;
        }
        options.retry.most_retry_after = self.most_retry_after;
        options.retry_percent = self.retry_percent;
        options.retries_per_second = self.retries_per_second;
        options.hedge = (self.hedge_percentile > 0).then(|| {
            hedge::Settings::default()
                .with_percentile(self.hedge_percentile)
                .with_minimum_calls(self.hedge_minimum_calls)
                .with_delay(self.hedge_least, self.hedge_most)
        });
        options.concurrency = (self.max_in_flight > 0).then(|| {
            let settings = concurrency::Settings::new(self.max_in_flight);
            let adaptive = self.adaptive.then(|| {
                let mut adaptive = Adaptive::default();
                adaptive.most = self.max_in_flight;
                adaptive.least = self.least_in_flight.min(self.max_in_flight);
                adaptive.tolerance_percent = self.tolerance_percent;
                adaptive
            });
            settings
                .with_queue(self.queue, self.queue_timeout)
                .with_reserved_percent(self.reserved_percent)
                .with_adaptive(adaptive)
        });
        options.cluster.balance = match self.strategy {
            Strategy::P2c => balance::Strategy::P2c,
            Strategy::ConsistentHash => balance::Strategy::ConsistentHash,
            Strategy::RoundRobin => balance::Strategy::RoundRobin,
            Strategy::Random => balance::Strategy::Random,
            Strategy::Weighted => balance::Strategy::Weighted,
        };
        options.cluster.hash_load_percent =
            (self.hash_load_percent > 0).then_some(self.hash_load_percent);
        options.cluster.zone = zone.filter(|_| self.prefer_zone).map(str::to_owned);
        options.cluster.slow_start.window = self.slow_start;
        options.cluster.slow_start.least_percent = self.slow_start_percent;
        options.cluster.failure_on = failure_on::rule(&self.failure_on);
        options.cluster.breaker = Some(self.breaker());
        let of_service = options.cluster.service_breaker.take();
        options.cluster.service_breaker =
            of_service.filter(|_| self.service_failure_percent > 0).map(|breaker| {
                breaker
                    .with_failure_percent(Some(self.service_failure_percent))
                    .with_window(self.service_failure_window, self.service_minimum_calls)
                    .with_open_for(self.service_open_for)
                    .with_probes(self.service_probes)
            });
        options.cluster.outlier = Some(self.outlier());
        options.body_idle = self.body_idle;
        options.idle_timeout = self.idle_timeout;
        options.max_idle = self.max_idle;
        options.max_http2 = self.max_http2;
        options.max_body_bytes = self.max_body_bytes.as_usize();
        options.replay_bytes = self.replay_bytes.as_usize();
        options
    }

    fn outlier(&self) -> outlier::Settings {
        let mut outlier = outlier::Settings::default();
        outlier.consecutive_failures = self.outlier_failures;
        outlier.interval = self.outlier_interval;
        outlier.base_ejection = self.ejection_time;
        outlier.max_ejection = self.most_ejection_time;
        outlier.max_ejected_percent = self.max_ejected_percent;
        outlier.panic_percent = self.panic_percent;
        outlier.success_rate = self.outlier_success_rate.then(|| {
            let mut rate = outlier::SuccessRate::default();
            rate.minimum_instances = self.outlier_instances;
            rate.minimum_calls = self.outlier_calls;
            rate.deviation_thousandths = self.outlier_deviation_thousandths;
            rate
        });
        outlier
    }

    fn breaker(&self) -> breaker::Settings {
        let slow = SlowCalls { at_least: self.slow_call, percent: self.slow_percent };
        breaker::Settings::default()
            .with_failure_threshold(self.failure_threshold)
            .with_open_for(self.open_for)
            .with_probes(self.probes)
            .with_failure_percent((self.failure_percent > 0).then_some(self.failure_percent))
            .with_slow((!self.slow_call.is_zero()).then_some(slow))
            .with_window(self.failure_window, self.minimum_calls)
    }
}

impl ServiceCallSettings {
    fn options(&self, all: &ClientSettings, zone: Option<&str>) -> Options {
        let mut options = all.with(self).options(zone);
        if let Some(versions) = &self.versions {
            options.cluster.subsets = Arc::new(versions.clone());
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use regatta_config::{Config, Setting as _};
    use regatta_core::ServiceName;
    use regatta_traffic::fault::{Condition, FailureOn};

    use super::*;

    fn policies(yaml: &str, variables: &[(&str, &str)]) -> Result<Policies, String> {
        let variables = variables.iter().map(|(name, text)| ((*name).into(), (*text).into()));
        let config = Config::builder().yaml("c.yaml", yaml).environment(variables).build().unwrap();
        let settings = config.load::<ClientSettings>().map_err(|error| error.to_string())?;
        Ok(settings.policies(None))
    }

    fn users() -> ServiceName {
        ServiceName::try_new("user-service").unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_the_client() {
        let ours = format!("{:?}", ClientSettings::default().policies(None).default);
        assert_eq!(ours, format!("{:?}", Options::default()));
    }

    #[test]
    fn a_service_differs_in_what_is_set_for_it_and_in_nothing_else() {
        let yaml = "client:\n  tries: 2\n  services:\n    user-service: {timeout: 3s}\n";
        let policies = policies(yaml, &[]).unwrap();
        let own = policies.of(&users());
        assert_eq!((own.timeout, own.retry.tries), (Duration::from_secs(3), 2));
        assert_eq!(policies.default.timeout, Duration::from_secs(15));
    }

    #[test]
    fn weights_of_versions_come_from_the_file_or_from_one_variable() {
        let yaml = "client: {services: {user-service: {versions: {v1: 90, v2: 10}}}}";
        let variable = [("CLIENT__SERVICES__USER_SERVICE__VERSIONS", "v1=90,v2=10")];
        for policies in [policies(yaml, &[]), policies("", &variable)] {
            let subsets = policies.unwrap().of(&users()).cluster.subsets.clone();
            assert_eq!(format!("{subsets:?}"), r#"{"v1": 90, "v2": 10}"#);
        }
    }

    #[test]
    fn a_variable_lies_above_the_file_for_the_same_service() {
        let yaml = "client: {services: {user-service: {timeout: 3s, tries: 1}}}";
        let variable = [("CLIENT__SERVICES__USER_SERVICE__TIMEOUT", "4s")];
        let own = policies(yaml, &variable).unwrap().of(&users()).clone();
        assert_eq!((own.timeout, own.retry.tries), (Duration::from_secs(4), 1));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (yaml, part) in [
            ("services: {user-service: {tires: 1}}", "did you mean `tries`"),
            ("services: {user-service: {tries: 99}}", "client.services.user-service.tries"),
            ("services: {\"1\": {}}", "is not a service name"),
            ("services: {a: {versions: {v1: 0}}}", "a weight above 0"),
            ("services: 3", "expected a map"),
            ("failure_percent: 101", "client.failure_percent"),
        ] {
            let error = policies(&format!("client: {{{yaml}}}"), &[]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn each_policy_of_all_calls_is_what_is_set_for_it() {
        let yaml = "client: {first_backoff: 9s, most_backoff: 2s, most_retry_after: 7s, \
                    hedge_percentile: 90, hedge_minimum_calls: 20, hedge_least: 2ms, \
                    hedge_most: 3ms, adaptive: true, tolerance_percent: 200, reserved_percent: 5, \
                    slow_start_percent: 50, failure_on: [timeout], outlier_instances: 3, \
                    outlier_calls: 4, outlier_deviation_thousandths: 1000, ejection_time: 5s, \
                    most_ejection_time: 6s, service_failure_percent: 40, \
                    service_failure_window: 3s, service_minimum_calls: 8, service_open_for: 2s, \
                    service_probes: 3}";
        let policies = policies(yaml, &[]).unwrap();
        assert_eq!(policies.validate(), Ok(()));
        let Options { retry, hedge, concurrency, cluster, .. } = policies.default;
        let seconds = Duration::from_secs;
        assert_eq!((retry.backoff.cap(1), retry.backoff.cap(9)), (seconds(2), seconds(2)));
        assert_eq!(retry.most_retry_after, seconds(7));
        let millis = Duration::from_millis;
        let wanted = hedge::Settings::default().with_percentile(90).with_minimum_calls(20);
        assert_eq!(hedge, Some(wanted.with_delay(millis(2), millis(3))));
        let concurrency = concurrency.unwrap();
        assert_eq!(concurrency.reserved_percent, 5);
        assert_eq!(concurrency.adaptive.unwrap().tolerance_percent, 200);
        assert_eq!(cluster.slow_start.least_percent, 50);
        assert_eq!(cluster.failure_on.conditions(), [Condition::Timeout]);
        let outlier = cluster.outlier.unwrap();
        assert_eq!((outlier.base_ejection, outlier.max_ejection), (seconds(5), seconds(6)));
        let rate = outlier.success_rate.unwrap();
        assert_eq!((rate.minimum_instances, rate.minimum_calls), (3, 4));
        assert_eq!(rate.deviation_thousandths, 1000);
        let wanted = breaker::Settings::default()
            .with_failure_threshold(u32::MAX)
            .with_failure_percent(Some(40))
            .with_window(seconds(3), 8)
            .with_open_for(seconds(2))
            .with_probes(3);
        assert_eq!(cluster.service_breaker, Some(wanted));
    }

    #[test]
    fn what_counts_as_a_failure_is_said_for_one_service_by_the_file_or_a_variable() {
        let yaml = "client: {services: {user-service: {failure_on: [5xx, 429]}}}";
        let variable = [("CLIENT__SERVICES__USER_SERVICE__FAILURE_ON", "5xx,429")];
        for policies in [policies(yaml, &[]), policies("", &variable)] {
            let policies = policies.unwrap();
            let own = &policies.of(&users()).cluster.failure_on;
            assert_eq!(own.conditions(), [Condition::ServerError, Condition::Status(429)]);
            assert_eq!(policies.default.cluster.failure_on, FailureOn::default());
        }
    }

    #[test]
    fn zero_switches_a_rule_off() {
        let yaml = "client: {failure_percent: 0, slow_call: 2s, slow_percent: 70}";
        let breaker = policies(yaml, &[]).unwrap().default.cluster.breaker.unwrap();
        assert_eq!(breaker.failure_percent, None);
        let slow = SlowCalls { at_least: Duration::from_secs(2), percent: 70 };
        assert_eq!(breaker.slow, Some(slow));
        let default = ClientSettings::default().policies(None).default.cluster.breaker.unwrap();
        assert_eq!(default.slow, None);
    }

    #[test]
    fn the_limit_of_calls_in_flight_follows_the_latency_if_asked_for() {
        let yaml = "client: {services: {a: {adaptive: true, max_in_flight: 100}}}";
        let policies = policies(yaml, &[]).unwrap();
        let own = policies.of(&"a".parse().unwrap()).concurrency.clone().unwrap();
        let adaptive = own.adaptive.unwrap();
        assert_eq!((own.limit, adaptive.least, adaptive.most), (100, 8, 100));
        assert_eq!(policies.default.concurrency.unwrap().adaptive, None);
    }

    #[test]
    fn every_policy_can_be_switched_off() {
        let yaml = "client: {max_in_flight: 0, hash_load_percent: 0, service_failure_percent: 0, \
                    prefer_zone: false, slow_start: 0s, outlier_success_rate: false}";
        let config = Config::builder().yaml("c.yaml", yaml).build().unwrap();
        let policies = config.load::<ClientSettings>().unwrap().policies(Some("north"));
        assert_eq!(policies.validate(), Ok(()));
        let Options { concurrency, hedge, cluster, .. } = policies.default;
        assert!(concurrency.is_none() && hedge.is_none() && cluster.hash_load_percent.is_none());
        assert!(cluster.service_breaker.is_none() && cluster.zone.is_none());
        assert!(cluster.slow_start.window.is_zero());
        assert!(cluster.outlier.unwrap().success_rate.is_none());
    }

    #[test]
    fn the_zone_of_this_service_is_preferred_unless_the_operator_says_otherwise() {
        let settings = ClientSettings::default();
        let zone = settings.policies(Some("north")).default.cluster.zone;
        assert_eq!(zone.as_deref(), Some("north"));
    }

    #[test]
    fn a_policy_that_the_client_refuses_is_found_at_the_start() {
        let policies = policies("client: {hedge_percentile: 7}", &[]).unwrap();
        assert!(policies.validate().is_err());
    }

    #[test]
    fn what_is_written_reads_back() {
        let yaml = "client: {services: {a: {timeout: 3s, versions: {v1: 1}}, b: {tries: 2}}}";
        let config = Config::builder().yaml("c.yaml", yaml).build().unwrap();
        let written = config.load::<ClientSettings>().unwrap().services.write().unwrap();
        let again = Config::builder().yaml("c.yaml", &format!("client: {{services: {written}}}"));
        let again = again.build().unwrap().load::<ClientSettings>().unwrap();
        assert_eq!(again.services.write().unwrap(), written);
    }
}
