//! How the instances of a service are chosen, and when one is left alone.

use std::sync::Arc;
use std::time::Duration;

use regatta_resilience::{breaker, outlier};

use super::SlowStart;
use crate::balance::Strategy;
use crate::fault::FailureOn;
use crate::subset::Weights;

/// How the instances of a service are chosen, and when one is left alone.
///
/// May be changed while calls are made: [`Cluster::configure`](super::Cluster::configure).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policies {
    /// How instances share the calls. Default [`Strategy::P2c`]: it needs no tuning, and leaves a
    /// slow instance before any breaker would.
    pub balance: Strategy,
    /// How far an instance may be over its fair share of the calls in flight under
    /// [`Strategy::ConsistentHash`], in percent of it. Default 125 (HAProxy's and Vimeo's usual
    /// value: a quarter of slack keeps nearly all keys at home); 101 to 10,000, none: no bound.
    pub hash_load_percent: Option<u32>,
    /// Weights of versions. Default none: versions do not matter.
    pub subsets: Arc<Weights>,
    /// The zone of the caller, whose instances come first; none: zones do not matter. The others
    /// take over what the zone's usable instances lack.
    pub zone: Option<String>,
    /// How a new instance comes to its share.
    pub slow_start: SlowStart,
    /// What counts as a failure of an instance, for the three rules below. Default: connections that
    /// fail or break, timeouts, 5xx but 501, and gRPC's codes of the same meaning.
    pub failure_on: FailureOn,
    /// When an instance is left alone; none: never. Default 5 failures in a row, or half of at
    /// least 20 calls within 10 s, for 60 s.
    pub breaker: Option<breaker::Settings>,
    /// When the service as a whole is left alone; none: never. Default 90 % failures of at least
    /// 100 calls within 10 s, for 5 s, 5 probes: the instances' own breakers come first, and this
    /// one only saves the time of asking each of many when what they share is broken.
    pub service_breaker: Option<breaker::Settings>,
    /// When an instance that does worse than its peers is ejected; none: never.
    pub outlier: Option<outlier::Settings>,
}

/// A policy is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicies {
    /// Without slack no key would stay at home.
    #[error("hash_load_percent is `{percent}`; use 101 to 10000, or none for no bound")]
    HashLoad {
        /// What was given.
        percent: u32,
    },
    /// A start that takes hours is none.
    #[error("slow_start.window is `{window:?}`; use 0 to 1 h")]
    SlowStartWindow {
        /// What was given.
        window: Duration,
    },
    /// An instance without a share never warms up.
    #[error("slow_start.least_percent is `{percent}`; use 1 to 100")]
    SlowStartLeast {
        /// What was given.
        percent: u32,
    },
    /// The breaker of the instances has a setting out of range.
    #[error("the breaker of the instances is set wrong")]
    Breaker(#[source] breaker::InvalidSettings),
    /// The breaker of the service has a setting out of range.
    #[error("the breaker of the service is set wrong")]
    ServiceBreaker(#[source] breaker::InvalidSettings),
    /// Outlier ejection has a setting out of range.
    #[error("outlier ejection is set wrong")]
    Outlier(#[source] outlier::InvalidSettings),
}

impl Default for Policies {
    fn default() -> Self {
        let service_breaker = breaker::Settings::default()
            .with_failure_threshold(u32::MAX)
            .with_failure_percent(Some(90))
            .with_window(Duration::from_secs(10), 100)
            .with_open_for(Duration::from_secs(5))
            .with_probes(5);
        Self {
            balance: Strategy::P2c,
            hash_load_percent: Some(125),
            subsets: Arc::default(),
            zone: None,
            slow_start: SlowStart::default(),
            failure_on: FailureOn::default(),
            breaker: Some(breaker::Settings::default()),
            service_breaker: Some(service_breaker),
            outlier: Some(outlier::Settings::default()),
        }
    }
}

impl Policies {
    /// Checks every policy.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`] names the first that is out of range.
    pub fn validate(&self) -> Result<(), InvalidPolicies> {
        let SlowStart { window, least_percent } = self.slow_start;
        if let Some(percent) = self.hash_load_percent.filter(|it| !(101..=10_000).contains(it)) {
            return Err(InvalidPolicies::HashLoad { percent });
        }
        if window > SlowStart::LONGEST {
            return Err(InvalidPolicies::SlowStartWindow { window });
        }
        if !(1..=100).contains(&least_percent) {
            return Err(InvalidPolicies::SlowStartLeast { percent: least_percent });
        }
        if let Some(breaker) = &self.breaker {
            breaker.validate().map_err(InvalidPolicies::Breaker)?;
        }
        if let Some(breaker) = &self.service_breaker {
            breaker.validate().map_err(InvalidPolicies::ServiceBreaker)?;
        }
        if let Some(outlier) = &self.outlier {
            outlier.validate().map_err(InvalidPolicies::Outlier)?;
        }
        Ok(())
    }
}

/// Settings to go by: an operator may force also a breaker that opens by no rule of its own.
pub(super) fn breaker_settings(settings: Option<&breaker::Settings>) -> breaker::Settings {
    let never =
        || breaker::Settings::default().with_failure_threshold(u32::MAX).with_failure_percent(None);
    settings.cloned().unwrap_or_else(never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_so_is_nothing_at_all() {
        assert_eq!(Policies::default().validate(), Ok(()));
        let bare = Policies {
            hash_load_percent: None,
            slow_start: SlowStart::OFF,
            breaker: None,
            service_breaker: None,
            outlier: None,
            ..Policies::default()
        };
        assert_eq!(bare.validate(), Ok(()));
        assert_eq!(breaker_settings(None).validate(), Ok(()));
    }

    #[test]
    fn names_the_policy_out_of_range() {
        let message = |change: fn(&mut Policies)| {
            let mut policies = Policies::default();
            change(&mut policies);
            regatta_core::Chain(&policies.validate().unwrap_err()).to_string()
        };
        assert!(message(|p| p.hash_load_percent = Some(100)).contains("`100`"));
        assert!(message(|p| p.slow_start.window = Duration::from_secs(3601)).contains("window"));
        assert!(message(|p| p.slow_start.least_percent = 0).contains("least_percent is `0`"));
        let breaker = breaker::Settings::default().with_probes(0);
        let wrong = Policies { breaker: Some(breaker.clone()), ..Policies::default() };
        assert!(matches!(wrong.validate(), Err(InvalidPolicies::Breaker(_))));
        let wrong = Policies { service_breaker: Some(breaker), ..Policies::default() };
        assert!(matches!(wrong.validate(), Err(InvalidPolicies::ServiceBreaker(_))));
        let mut outlier = outlier::Settings::default();
        outlier.consecutive_failures = 0;
        let wrong = Policies { outlier: Some(outlier), ..Policies::default() };
        assert!(matches!(wrong.validate(), Err(InvalidPolicies::Outlier(_))));
    }
}
