//! A service under the rules of the moment.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use regatta_resilience::concurrency::{self, Limit};
use regatta_resilience::hedge::{self, Hedge};
use regatta_resilience::retry::{Budget, Policy};
use regatta_traffic::balance::{HashOn, Strategy, hash_key};
use regatta_traffic::cluster::Policies;
use regatta_traffic::subset::Weights;

use super::Upstream;
use crate::http1::Headers;
use crate::{Retry, Service, Settings, Traffic};

/// A service under the rules of the moment; made with them, and immutable.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) upstream: Arc<Upstream>,
    /// Time for an exchange, when the service has its own.
    pub(crate) timeout: Option<Duration>,
    /// What it may be asked over gRPC without its name in front.
    pub(crate) grpc: Vec<String>,
    pub(crate) retry: Policy,
    pub(crate) try_timeout: Option<Duration>,
    /// Shared by all cores, and by the rules that follow.
    pub(crate) budget: Budget,
    /// What says when a read is slow; none when none is sent twice. Shared as the budget is.
    pub(crate) hedge: Option<Hedge>,
    hedging: Option<hedge::Settings>,
    /// None when the strategy asks for no key.
    hash_on: Option<HashOn>,
    settings: Retry,
    /// Requests in flight; shared by all cores, and by the rules that follow.
    pub(crate) limit: Option<Limit>,
    concurrency: Option<concurrency::Settings>,
    /// Whether the limit follows the latency.
    pub(crate) is_adaptive: bool,
}

impl Target {
    /// The service under its own rules or those that all share; the budget of the rules before is
    /// kept if it is the same.
    pub(crate) fn new(
        upstream: Arc<Upstream>,
        service: &Service,
        settings: &Settings,
        before: Option<&Self>,
    ) -> Self {
        let traffic = traffic(service, settings);
        let Retry { budget_percent, budget_floor, .. } = traffic.retry;
        let kept = before.filter(|before| {
            (before.settings.budget_percent, before.settings.budget_floor)
                == (budget_percent, budget_floor)
        });
        // All were checked with the settings.
        let limit = traffic.concurrency.clone().and_then(|settings| {
            // What is in flight goes on counting; what it is to be comes with `put_in_force`.
            before.and_then(|before| before.limit.clone()).or_else(|| Limit::try_new(settings).ok())
        });
        let hedge = traffic.hedge.clone().and_then(|settings| {
            before.and_then(|before| before.hedge.clone()).or_else(|| Hedge::try_new(settings).ok())
        });
        let is_adaptive = traffic.concurrency.as_ref().is_some_and(|it| it.adaptive.is_some());
        let fresh = || Budget::try_new(budget_percent, budget_floor).unwrap_or_default();
        Self {
            upstream,
            timeout: service.timeout,
            grpc: service.grpc.clone(),
            retry: traffic.retry.policy(),
            try_timeout: traffic.retry.try_timeout,
            budget: kept.map_or_else(fresh, |before| before.budget.clone()),
            hedge,
            hedging: traffic.hedge.clone(),
            hash_on: (traffic.cluster.balance == Strategy::ConsistentHash)
                .then(|| traffic.hash_on.clone()),
            settings: traffic.retry,
            limit,
            concurrency: traffic.concurrency.clone(),
            is_adaptive,
        }
    }

    /// Changes what it shares with the rules before, once all of its own rules are known to hold.
    pub(crate) fn put_in_force(&self) {
        if let (Some(limit), Some(settings)) = (&self.limit, &self.concurrency) {
            // They were checked with the settings.
            _ = limit.reconfigure(settings.clone());
        }
        if let (Some(hedge), Some(settings)) = (&self.hedge, &self.hedging) {
            _ = hedge.reconfigure(settings.clone());
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.upstream.name.as_str()
    }

    /// What sends requests to the same instance; none when it does not matter.
    pub(crate) fn key<'h>(
        &self,
        headers: &Headers<'_>,
        client: IpAddr,
        field: impl Fn(&str) -> Option<&'h [u8]>,
    ) -> Option<u64> {
        match self.hash_on.as_ref()? {
            HashOn::Client => Some(match headers.client_id {
                Some(id) if !id.is_empty() => hash_key(id),
                _ => hash_key(client.to_string()),
            }),
            HashOn::Header(name) => field(name).map(hash_key),
            HashOn::Cookie(name) => field("cookie").and_then(|all| cookie(all, name)).map(hash_key),
            _ => None,
        }
    }
}

/// The rules that hold for a service.
fn traffic<'s>(service: &'s Service, settings: &'s Settings) -> &'s Traffic {
    service.traffic.as_ref().unwrap_or(&settings.traffic)
}

/// The policies of a service's instances, with the weights of its versions.
pub(crate) fn policies(service: &Service, settings: &Settings) -> Policies {
    let mut policies = traffic(service, settings).cluster.clone();
    let weights: Weights = service.versions.iter().cloned().collect();
    policies.subsets = Arc::new(weights);
    policies
}

/// The value of a cookie (RFC 6265, section 4.2.1).
fn cookie<'c>(cookies: &'c [u8], name: &str) -> Option<&'c [u8]> {
    cookies.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).find_map(|pair| {
        pair.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        assert_eq!(cookie(b"a=1; session=x; sessions=y", "session"), Some(&b"x"[..]));
        assert_eq!(cookie(b"xsession=1", "session"), None);
        assert_eq!(cookie(b"", "session"), None);
    }
}
