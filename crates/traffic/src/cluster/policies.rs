//! How the instances of a service are chosen, and when one is left alone.

use std::sync::Arc;

use regatta_resilience::breaker;

use crate::balance::Strategy;
use crate::subset::Weights;

/// How the instances of a service are chosen, and when one is left alone.
///
/// May be changed while calls are made: [`Cluster::configure`](super::Cluster::configure).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policies {
    /// How instances share the calls. Default round robin.
    pub balance: Strategy,
    /// Weights of versions. Default none: versions do not matter.
    pub subsets: Arc<Weights>,
    /// When an instance is left alone; none: never. Default 5 failures in a row, for 60 s.
    pub breaker: Option<breaker::Settings>,
}

/// A policy is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicies {
    /// The breaker of an instance has a wrong setting.
    #[error("the breaker of the instances has a wrong setting")]
    Breaker(#[source] breaker::InvalidSettings),
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            balance: Strategy::default(),
            subsets: Arc::default(),
            breaker: Some(breaker::Settings::default()),
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
        if let Some(breaker) = &self.breaker {
            breaker.validate().map_err(InvalidPolicies::Breaker)?;
        }
        Ok(())
    }
}
