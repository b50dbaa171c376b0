//! How a request was counted, and what of it the answer tells.

use std::time::Duration;

use regatta_resilience::rate_limit::Decision;

/// What one limit says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) decision: Decision,
    /// The window of the limit.
    pub(crate) window: Duration,
}

/// What the limits say about a request; none where there is no limit, or it was not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    /// That of all requests of the client.
    pub(crate) whole: Option<Rate>,
    /// That of the route.
    pub(crate) route: Option<Rate>,
}

impl Rates {
    /// The one that the answer tells: the client comes up against it first.
    pub(crate) fn shown(&self) -> Option<Rate> {
        let order = |rate: &Rate| {
            let Decision { allowed, remaining, .. } = rate.decision;
            // Of two with as much left, the one that takes longer to have more.
            (allowed, remaining, std::cmp::Reverse(rate.decision.until_more()))
        };
        self.whole.into_iter().chain(self.route).min_by_key(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(allowed: bool, remaining: u32, seconds: u64) -> Rate {
        let time = Duration::from_secs(seconds);
        let decision = Decision::new(allowed, 60, remaining, time, time);
        Rate { decision, window: Duration::from_secs(60) }
    }

    #[test]
    fn the_limit_that_the_client_meets_first_is_told() {
        let (ample, tight) = (rate(true, 50, 1), rate(true, 3, 1));
        let (over, slower) = (rate(false, 0, 9), rate(true, 3, 8));
        for (whole, route, shown) in [
            (None, None, None),
            (Some(ample), None, Some(ample)),
            (None, Some(tight), Some(tight)),
            (Some(ample), Some(tight), Some(tight)),
            (Some(tight), Some(ample), Some(tight)),
            (Some(ample), Some(over), Some(over)),
            (Some(tight), Some(slower), Some(slower)),
            (Some(slower), Some(tight), Some(slower)),
        ] {
            assert_eq!(Rates { whole, route }.shown(), shown);
        }
    }
}
