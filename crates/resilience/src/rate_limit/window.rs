//! One client's window: when its admitted calls came.

use std::collections::VecDeque;
use std::time::Duration;

use crate::rate_limit::Decision;
use crate::rate_limit::shard::Cell;

/// What is the same for all windows of a limiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) limit: u32,
    /// In ticks; at most 2^31, so that a tick's lower half is never mistaken.
    pub(crate) window: u32,
    pub(crate) tick: Duration,
}

impl Rule {
    fn duration(self, ticks: u32) -> Duration {
        self.tick.saturating_mul(ticks)
    }
}

/// The admitted calls of one client, oldest first, as the lower half of their ticks.
///
/// `last` is the whole tick of the newest, so that no client that was away for so long that the
/// lower half came round looks as if it had just been here. All others are at most one
/// window older than the newest, because each admission forgets what has left the window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    admitted: VecDeque<u32>,
    last: u64,
}

impl Cell for Window {
    type Rule = Rule;

    fn check(&mut self, rule: Rule, now: u64) -> Decision {
        self.forget(rule, now);
        let allowed = self.admitted.len() < rule.limit as usize;
        if allowed {
            self.make_room(rule);
            self.admitted.push_back(now as u32);
            self.last = now;
        }
        let used = self.admitted.len() as u32;
        let remaining = rule.limit - used;
        // With `limit` calls in the window the next is admitted when the oldest leaves it.
        let retry_after = match self.admitted.front() {
            Some(oldest) if remaining == 0 => rule.window - (now as u32).wrapping_sub(*oldest),
            _ => 0,
        };
        let reset = u64::from(rule.window) - (now - self.last);
        Decision {
            allowed,
            limit: rule.limit,
            remaining,
            reset: rule.duration(reset as u32),
            retry_after: rule.duration(retry_after),
        }
    }

    fn forget(&mut self, rule: Rule, now: u64) {
        if self.is_over(rule, now) {
            self.admitted.clear();
            return;
        }
        while let Some(oldest) = self.admitted.front()
            && (now as u32).wrapping_sub(*oldest) >= rule.window
        {
            self.admitted.pop_front();
        }
    }

    fn is_over(&self, rule: Rule, now: u64) -> bool {
        now - self.last >= u64::from(rule.window)
    }

    fn copy_from(&mut self, other: &Self) {
        self.admitted.clear();
        self.admitted.reserve_exact(other.admitted.len());
        self.admitted.extend(&other.admitted);
        self.last = other.last;
    }

    fn heap_bytes(&self) -> usize {
        self.admitted.capacity() * size_of::<u32>()
    }

    fn most_heap_bytes(rule: Rule) -> usize {
        (rule.limit as usize).max(LEAST) * size_of::<u32>()
    }
}

impl Window {
    /// Doubles, but never past the limit, as the deque would by itself.
    fn make_room(&mut self, rule: Rule) {
        let (length, capacity) = (self.admitted.len(), self.admitted.capacity());
        if length == capacity {
            let next = (capacity * 2).clamp(LEAST, (rule.limit as usize).max(LEAST));
            self.admitted.reserve_exact(next - length);
        }
    }
}

/// Calls that every window has room for: the least the deque allocates.
const LEAST: usize = 4;
