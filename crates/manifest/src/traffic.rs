//! How requests are sent to a service, as the manifest says.

use std::time::Duration;

/// How requests are sent to the instances of a service. What is none is as the gateway's own
/// `traffic` says, and its default where that says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// The name of a balancing strategy.
    pub balance: Option<String>,
    /// What sends requests to the same instance: `client`, `header:NAME` or `cookie:NAME`.
    pub hash_on: Option<String>,
    /// How far an instance may be over its fair share under consistent hashing, in percent of it;
    /// 0 for no bound.
    pub hash_load_percent: Option<u32>,
    /// The zone whose instances come first.
    pub zone: Option<String>,
    /// Time in which a new instance comes to its share; 0 for at once.
    pub slow_start: Option<Duration>,
    /// The share with which it begins, in percent.
    pub slow_start_percent: Option<u32>,
    /// Attempts after the first, 0 to 3.
    pub retries: Option<u8>,
    /// Time for an attempt that may be repeated.
    pub try_timeout: Option<Duration>,
    /// The most a first retry waits; 0 for not at all.
    pub first_backoff: Option<Duration>,
    /// The most any retry waits.
    pub most_backoff: Option<Duration>,
    /// The longest `Retry-After` of a service that is waited for.
    pub most_retry_after: Option<Duration>,
    /// Retries as a share of successes, in percent.
    pub retry_budget_percent: Option<u32>,
    /// Retries a second that need no success.
    pub retry_budget_floor: Option<u32>,
    /// When a read that takes long is sent to a second instance too.
    pub hedge: Option<Switch<Hedge>>,
    /// What counts as a failure of an instance, for breakers and ejection: `timeout`, `5xx`, `429`,
    /// `grpc:UNAVAILABLE` and so on; empty for nothing.
    pub failure_on: Option<Vec<String>>,
    /// When an instance is left alone.
    pub breaker: Option<Switch<Breaker>>,
    /// When the service as a whole is left alone.
    pub service_breaker: Option<Switch<Breaker>>,
    /// When an instance that does worse than its peers is ejected.
    pub outlier: Option<Switch<Outlier>>,
    /// Requests in flight, and how many may wait.
    pub concurrency: Option<Switch<Concurrency>>,
}

/// A rule that can be switched off with `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switch<T> {
    /// The rule does not hold.
    Off,
    /// The rule holds, with these values.
    On(T),
}

/// When a read that takes long is sent to a second instance too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hedge {
    /// The share of requests, in percent, that is quicker than what is waited for.
    pub percentile: Option<u32>,
    /// Requests that it takes to know how long that is.
    pub minimum_calls: Option<u64>,
    /// The shortest wait.
    pub least: Option<Duration>,
    /// The longest.
    pub most: Option<Duration>,
}

/// When an instance, or the service as a whole, is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: Option<u32>,
    /// Share of failures in the window that opens it, in percent.
    pub failure_percent: Option<u32>,
    /// The window of the shares.
    pub window: Option<Duration>,
    /// Calls in the window below which no share counts.
    pub minimum_calls: Option<u32>,
    /// From this time on a call is slow.
    pub slow_call: Option<Duration>,
    /// Share of slow calls in the window that opens it, in percent.
    pub slow_percent: Option<u32>,
    /// From opening to the first probe.
    pub open_for: Option<Duration>,
    /// Probes at a time.
    pub probes: Option<u32>,
}

/// When an instance that does worse than its peers is ejected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlier {
    /// Failures in a row that eject it.
    pub failures: Option<u32>,
    /// Time between two looks at the success rates.
    pub interval: Option<Duration>,
    /// When an instance is ejected whose success rate is far below its peers'.
    pub success_rate: Option<Switch<SuccessRate>>,
    /// Time of the first ejection; the n-th takes n times as long.
    pub eject_for: Option<Duration>,
    /// The longest ejection.
    pub most: Option<Duration>,
    /// The largest share of instances ejected at a time, in percent.
    pub max_ejected_percent: Option<u32>,
    /// When fewer than this share is usable all are used again, in percent.
    pub panic_percent: Option<u32>,
}

/// When an instance is ejected whose success rate is far below its peers'.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuccessRate {
    /// Instances with enough requests under which nothing is compared.
    pub instances: Option<u32>,
    /// Requests of an instance between two looks that are enough.
    pub calls: Option<u64>,
    /// How many standard deviations below the mean is too low, in thousandths.
    pub deviation_thousandths: Option<u32>,
}

/// Requests in flight, and how many may wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concurrency {
    /// Requests at a time; where an adaptive limit begins.
    pub limit: Option<u32>,
    /// Whether the limit follows the latency. Default no.
    pub adaptive: Option<bool>,
    /// The least limit when it does.
    pub least: Option<u32>,
    /// The largest limit when it does.
    pub most: Option<u32>,
    /// How much slower than usual is not yet slow for it, in percent of the usual.
    pub tolerance_percent: Option<u32>,
    /// Requests that may wait; 0 for none.
    pub queue: Option<u32>,
    /// The longest wait.
    pub queue_timeout: Option<Duration>,
    /// Share of the limit that is kept free of less urgent requests, in percent.
    pub reserved_percent: Option<u32>,
}

impl Traffic {
    /// The same rules, with `shared` for what they leave open, key by key.
    #[must_use]
    pub fn or(&self, shared: &Self) -> Self {
        let own = self.clone();
        let shared = shared.clone();
        Self {
            balance: own.balance.or(shared.balance),
            hash_on: own.hash_on.or(shared.hash_on),
            hash_load_percent: own.hash_load_percent.or(shared.hash_load_percent),
            zone: own.zone.or(shared.zone),
            slow_start: own.slow_start.or(shared.slow_start),
            slow_start_percent: own.slow_start_percent.or(shared.slow_start_percent),
            retries: own.retries.or(shared.retries),
            try_timeout: own.try_timeout.or(shared.try_timeout),
            first_backoff: own.first_backoff.or(shared.first_backoff),
            most_backoff: own.most_backoff.or(shared.most_backoff),
            most_retry_after: own.most_retry_after.or(shared.most_retry_after),
            retry_budget_percent: own.retry_budget_percent.or(shared.retry_budget_percent),
            retry_budget_floor: own.retry_budget_floor.or(shared.retry_budget_floor),
            hedge: own.hedge.or(shared.hedge),
            failure_on: own.failure_on.or(shared.failure_on),
            breaker: own.breaker.or(shared.breaker),
            service_breaker: own.service_breaker.or(shared.service_breaker),
            outlier: own.outlier.or(shared.outlier),
            concurrency: own.concurrency.or(shared.concurrency),
        }
    }
}
