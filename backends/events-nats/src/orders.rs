//! What subscribers want of the member of their group.

use std::sync::Arc;

use regatta_events::{BusError, CloudEvent, Subscription, Verdict};
use tokio::sync::oneshot;

use crate::group::Claim;

/// What a subscriber wants.
pub(crate) enum Order {
    /// The next events.
    Claim(Waiting),
    /// That a delivery is settled.
    Settle(Box<Settling>),
    /// That what was claimed and not handed out is given back.
    Return(Vec<Claim>),
}

/// A subscriber that waits for its next events, at most so many.
pub(crate) struct Waiting {
    pub(crate) asks: Arc<Subscription>,
    pub(crate) most: usize,
    pub(crate) reply: oneshot::Sender<Result<Vec<Given>, BusError>>,
}

/// An event that was claimed.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) event: CloudEvent,
    pub(crate) claim: Claim,
}

/// A delivery that is being settled.
pub(crate) struct Settling {
    pub(crate) asks: Arc<Subscription>,
    pub(crate) claim: Claim,
    pub(crate) event: CloudEvent,
    pub(crate) verdict: Verdict,
    pub(crate) reply: oneshot::Sender<Result<(), BusError>>,
}
