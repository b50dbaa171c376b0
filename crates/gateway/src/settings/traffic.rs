//! How requests are sent to the instances of a service.

use std::time::Duration;

use regatta_resilience::retry::{Backoff, Policy};
use regatta_resilience::{concurrency, hedge};
use regatta_traffic::balance::HashOn;
use regatta_traffic::cluster::Policies;

/// How requests are sent to the instances of a service: the same rules, with the same defaults, as
/// for the calls of services among themselves.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Traffic {
    /// Balancing, breakers, ejection. The weights of versions come from
    /// [`Service::versions`](crate::Service::versions).
    pub cluster: Policies,
    /// Whether and how requests are sent again.
    pub retry: Retry,
    /// When a read (`GET`, `HEAD`, `OPTIONS` without a body) that takes long is sent to a second
    /// instance too, so that the first answer stands. Each takes one retry out of the budget.
    /// Default none: never.
    pub hedge: Option<hedge::Settings>,
    /// What sends requests to the same instance, with the strategy of consistent hashing. Default
    /// [`HashOn::Client`].
    pub hash_on: HashOn,
    /// Requests in flight to the service, those of all cores together, and how many may wait; none
    /// for no limit. Default 1024, and 256 that wait for at most 250 ms, the urgent ones first
    /// (`Priority`, RFC 9218). Over a fixed limit a request counts to the end of its answer, over
    /// an adaptive one to the head. Upgraded connections do not count.
    pub concurrency: Option<concurrency::Settings>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            cluster: Policies::default(),
            retry: Retry::default(),
            hedge: None,
            hash_on: HashOn::default(),
            concurrency: Some(concurrency::Settings::default()),
        }
    }
}

/// Whether and how requests are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// Attempts after the first, each on another instance where there is one. Default 1; 0 to 3.
    /// What never left goes to another instance without counting.
    pub retries: u8,
    /// Time for an attempt that may be repeated, to the head of the answer. Default 5 s, a third
    /// of the time of the exchange, as in the calls of services: an instance that hangs costs an
    /// attempt and not the request. None: the time of the exchange. More than 0.
    pub try_timeout: Option<Duration>,
    /// The most a first retry waits; it doubles from retry to retry. Default 25 ms, as Envoy's:
    /// a client is waiting.
    pub backoff: Duration,
    /// The most any retry waits. Default 250 ms.
    pub most_backoff: Duration,
    /// The longest `Retry-After` of a service that is waited for; a longer one is passed on.
    /// Default 1 s.
    pub most_retry_after: Duration,
    /// Retries to a service in 10 s, as a share of its successes in percent. Default 20; to 100.
    pub budget_percent: u32,
    /// Retries a second that are allowed without a success. Default 3.
    pub budget_floor: u32,
}

impl Retry {
    /// The same rules as those of calls between services.
    pub fn policy(&self) -> Policy {
        let mut policy = Policy::default();
        policy.tries = u32::from(self.retries) + 1;
        // Checked with the settings.
        policy.backoff = Backoff::try_new(self.backoff, self.most_backoff).unwrap_or_default();
        policy.most_retry_after = self.most_retry_after;
        policy
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            retries: 1,
            try_timeout: Some(Duration::from_secs(5)),
            backoff: Duration::from_millis(25),
            most_backoff: Duration::from_millis(250),
            most_retry_after: Duration::from_secs(1),
            budget_percent: 20,
            budget_floor: 3,
        }
    }
}
