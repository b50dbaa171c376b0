//! The time by which a process counts leases and pauses: from when it first saw them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::group::Clock;

/// When the turns of a group were first seen, and the time.
pub(crate) struct Seen<'a> {
    pub(crate) seen: &'a HashMap<u64, Instant>,
    pub(crate) now: Instant,
}

impl Clock for Seen<'_> {
    fn is_over(&self, turn: u64, milliseconds: u64) -> bool {
        let since = self.seen.get(&turn).map(|at| self.now.saturating_duration_since(*at));
        since.is_some_and(|since| since >= Duration::from_millis(milliseconds))
    }
}

/// When the next lease or pause is over. One that is over already waits for something else, such as an
/// event of its key before it, and wakes nobody again and again.
pub(crate) fn next_due(
    waits: impl Iterator<Item = (u64, u64)>,
    seen: &HashMap<u64, Instant>,
    now: Instant,
) -> Option<Instant> {
    let due = waits
        .filter_map(|(turn, length)| seen.get(&turn)?.checked_add(Duration::from_millis(length)));
    due.filter(|due| *due > now).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_over_and_still_waits_wakes_nobody() {
        let now = Instant::now();
        let seen = HashMap::from([(1, now), (2, now)]);
        let later = now + Duration::from_millis(10);
        let waits = || [(1, 5), (2, 30), (3, 1)].into_iter();
        assert_eq!(next_due(waits(), &seen, later), Some(now + Duration::from_millis(30)));
        assert_eq!(next_due(waits(), &seen, now + Duration::from_secs(1)), None);
    }
}
