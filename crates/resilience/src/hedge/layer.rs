//! Puts hedging around a service.

use tower_layer::Layer;

use crate::hedge::{Hedge, HedgeService};
use crate::retry::Budget;

/// Hedges the calls that `may` says may be made twice, any `Fn(&Request) -> bool`.
#[derive(Clone, Debug)]
pub struct HedgeLayer<F> {
    hedge: Hedge,
    budget: Budget,
    may: F,
}

impl<F> HedgeLayer<F> {
    /// A layer that pays second tries from this budget, the one that retries are paid from.
    pub fn new(hedge: Hedge, budget: Budget, may: F) -> Self {
        Self { hedge, budget, may }
    }
}

impl<S, F: Clone> Layer<S> for HedgeLayer<F> {
    type Service = HedgeService<S, F>;

    fn layer(&self, inner: S) -> HedgeService<S, F> {
        HedgeService::new(inner, self.hedge.clone(), self.budget.clone(), self.may.clone())
    }
}
