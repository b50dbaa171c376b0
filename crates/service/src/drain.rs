//! How the time to stop is shared out: one budget for all of it.

use std::time::{Duration, Instant};

/// The time from the signal to the end of the process. Each stage has a share that ends at a fixed
/// mark, so the stages together never take longer than the whole; a stage that ends early leaves
/// its time to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    begin: Instant,
    total: Duration,
}

/// The stages of stopping, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Out of the registry.
    Deregister,
    /// Still serving callers that have not heard of it.
    Linger,
    /// Requests in flight.
    Requests,
    /// Background tasks.
    Tasks,
    /// Databases closed, telemetry sent.
    Flush,
}

impl Budget {
    pub(crate) fn begin(now: Instant, total: Duration) -> Self {
        Self { begin: now, total }
    }

    /// The instant at which the stage ends at the latest.
    pub(crate) fn end_of(&self, stage: Stage) -> Instant {
        // Requests get the most: everything else is quick unless something is broken.
        let tenths = match stage {
            Stage::Deregister => 2,
            Stage::Linger => 4,
            Stage::Requests => 8,
            Stage::Tasks => 9,
            Stage::Flush => 10,
        };
        self.begin + self.total * tenths / 10
    }

    /// The instant at which lingering ends, `wanted` from now unless the budget ends it earlier.
    pub(crate) fn linger(&self, now: Instant, wanted: Duration) -> Instant {
        (now + wanted).min(self.end_of(Stage::Linger))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAGES: [Stage; 5] =
        [Stage::Deregister, Stage::Linger, Stage::Requests, Stage::Tasks, Stage::Flush];

    #[expect(clippy::disallowed_methods, reason = "any instant does; none can be made otherwise")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn lingering_ends_as_wanted_or_with_its_share() {
        let (start, seconds) = (start(), Duration::from_secs);
        let budget = Budget::begin(start, seconds(10));
        assert_eq!(budget.linger(start + seconds(1), seconds(1)), start + seconds(2));
        assert_eq!(budget.linger(start + seconds(1), seconds(60)), start + seconds(4));
    }

    proptest! {
        #[test]
        fn stages_end_in_their_order_and_the_last_with_the_budget(millis in 0_u64..1_000_000) {
            let (start, total) = (start(), Duration::from_millis(millis));
            let budget = Budget::begin(start, total);
            let ends = STAGES.map(|stage| budget.end_of(stage));
            prop_assert!(ends.is_sorted());
            prop_assert_eq!(ends[4], start + total);
            prop_assert!(ends[2].duration_since(ends[1]) * 5 >= total * 2 - Duration::from_micros(1));
        }
    }
}
