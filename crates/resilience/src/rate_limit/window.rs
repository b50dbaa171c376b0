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

/// The admitted calls of one client.
///
/// `last` is the whole tick of the newest, 0 before the first, so that no client that was away for
/// so long that the lower half came round looks as if it had just been here. All others are at most
/// one window older than the newest, because each admission forgets what has left the window. A
/// client with one call in the window, as are nearly all of many, has nothing on the heap to read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    last: u64,
    /// Those before the newest, oldest first, as the lower half of their ticks.
    older: VecDeque<u32>,
}

impl Cell for Window {
    type Rule = Rule;

    fn check(&mut self, rule: Rule, now: u64) -> Decision {
        self.forget(rule, now);
        let before = self.used(rule, now);
        let allowed = before < rule.limit;
        if allowed {
            if before > 0 {
                self.make_room(rule);
                self.older.push_back(self.last as u32);
            }
            self.last = now;
        }
        let remaining = rule.limit - before - u32::from(allowed);
        let reset = u64::from(rule.window) - (now - self.last);
        // With `limit` calls in the window the next is admitted when the oldest leaves it.
        let retry_after = if remaining > 0 {
            Duration::ZERO
        } else {
            let oldest = self.older.front().copied().unwrap_or(self.last as u32);
            rule.duration(rule.window - (now as u32).wrapping_sub(oldest))
        };
        let (limit, reset) = (rule.limit, rule.duration(reset as u32));
        Decision { allowed, limit, remaining, reset, retry_after }
    }

    fn forget(&mut self, rule: Rule, now: u64) {
        if self.is_over(rule, now) {
            self.older.clear();
            return;
        }
        while let Some(oldest) = self.older.front()
            && (now as u32).wrapping_sub(*oldest) >= rule.window
        {
            self.older.pop_front();
        }
    }

    fn is_over(&self, rule: Rule, now: u64) -> bool {
        self.last == 0 || now - self.last >= u64::from(rule.window)
    }

    fn copy_from(&mut self, other: &Self) {
        self.older.clear();
        self.older.reserve_exact(other.older.len());
        self.older.extend(&other.older);
        self.last = other.last;
    }

    fn heap_bytes(&self) -> usize {
        self.older.capacity() * size_of::<u32>()
    }

    fn most_heap_bytes(rule: Rule) -> usize {
        (rule.limit as usize).max(LEAST) * size_of::<u32>()
    }
}

impl Window {
    /// Calls in the window, after what has left it was forgotten.
    fn used(&self, rule: Rule, now: u64) -> u32 {
        self.older.len() as u32 + u32::from(!self.is_over(rule, now))
    }

    /// Doubles, but never past the limit, as the deque would by itself.
    fn make_room(&mut self, rule: Rule) {
        let (length, capacity) = (self.older.len(), self.older.capacity());
        if length == capacity {
            let next = (capacity * 2).clamp(LEAST, (rule.limit as usize).max(LEAST));
            self.older.reserve_exact(next - length);
        }
    }
}

/// Calls that a window which has any on the heap has room for: the least the deque allocates.
const LEAST: usize = 4;
