//! Decides when a connection has kept its place for too long: pure.

use std::time::{Duration, Instant};

/// What a connection has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Activity {
    /// Requests whose head was read.
    pub(super) requests: u64,
    /// Whether a request is being answered.
    pub(super) is_busy: bool,
    /// Whether bytes came since the latest request was answered.
    pub(super) is_reading: bool,
    /// Whether it has said that it speaks HTTP/2.
    pub(super) is_http2: bool,
    /// Bytes written.
    pub(super) written: u64,
}

/// Looks at a connection now and then, and remembers since when it waits.
///
/// hyper's own timer is not enough: it begins only when it is known that the client speaks
/// HTTP/1.1, so that one which says nothing, or half of HTTP/2's greeting, is waited for without
/// end; and it counts an idle connection as a head that is late.
#[derive(Debug)]
pub(super) struct Pace {
    head: Duration,
    idle: Duration,
    since: Option<(Wait, Instant)>,
}

/// What a connection waits for; it waits anew when any of the numbers has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The rest of a head, or a greeting, after so many requests.
    Head { requests: u64 },
    /// The next request. An answer may still be going out.
    Request { requests: u64, written: u64 },
}

impl Pace {
    /// Waits so long for a head, and so long for the next request.
    pub(super) fn new(head: Duration, idle: Duration) -> Self {
        Self { head, idle, since: None }
    }

    /// How often to look; a verdict is late by that much.
    pub(super) fn period(&self) -> Duration {
        (self.head.min(self.idle) / 4).max(Duration::from_millis(1))
    }

    /// Whether the connection has waited for too long.
    pub(super) fn is_over(&mut self, now: Instant, activity: Activity) -> bool {
        let Some(wait) = Wait::of(activity) else {
            self.since = None;
            return false;
        };
        let since = match self.since {
            Some((last, since)) if last == wait => since,
            _ => now,
        };
        self.since = Some((wait, since));
        let longest = match wait {
            Wait::Head { .. } => self.head,
            Wait::Request { .. } => self.idle,
        };
        now.saturating_duration_since(since) >= longest
    }
}

impl Wait {
    /// What it waits for; none while it is answered.
    fn of(activity: Activity) -> Option<Self> {
        let Activity { requests, is_busy, is_reading, is_http2, written } = activity;
        // Whether a client of HTTP/2 is still there is asked by pings.
        if is_busy || is_http2 {
            return None;
        }
        Some(match is_reading || requests == 0 {
            true => Self::Head { requests },
            false => Self::Request { requests, written },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(30);
    const IDLE: Duration = Duration::from_secs(300);
    const SECOND: Duration = Duration::from_secs(1);

    fn begun() -> (Pace, Instant) {
        (Pace::new(HEAD, IDLE), tokio::time::Instant::now().into_std())
    }

    #[test]
    fn a_client_that_says_nothing_or_half_a_greeting_is_closed() {
        for is_reading in [false, true] {
            let (mut pace, now) = begun();
            let silent = Activity { is_reading, ..Activity::default() };
            assert!(!pace.is_over(now, silent));
            assert!(!pace.is_over(now + HEAD - SECOND, silent));
            assert!(pace.is_over(now + HEAD, silent));
        }
    }

    #[test]
    fn an_idle_connection_is_kept_for_longer_than_a_head_may_take() {
        let (mut pace, now) = begun();
        let idle = Activity { requests: 3, ..Activity::default() };
        assert!(!pace.is_over(now, idle));
        assert!(!pace.is_over(now + IDLE - SECOND, idle));
        // The first byte of a head begins its own time.
        let reading = Activity { is_reading: true, ..idle };
        assert!(!pace.is_over(now + IDLE, reading));
        assert!(pace.is_over(now + IDLE + HEAD, reading));
        let (mut pace, now) = begun();
        assert!(!pace.is_over(now, idle));
        assert!(pace.is_over(now + IDLE, idle));
    }

    #[test]
    fn requests_and_answers_begin_the_time_anew() {
        let (mut pace, now) = begun();
        for n in 1..20 {
            let at = now + (IDLE - SECOND) * n;
            let (requests, written) = (u64::from(n / 2), u64::from(n));
            assert!(!pace.is_over(at, Activity { requests, written, ..Activity::default() }));
        }
    }

    #[test]
    fn a_query_that_blocks_and_a_client_of_http2_are_waited_for() {
        let (mut pace, now) = begun();
        let busy = Activity { requests: 1, is_busy: true, ..Activity::default() };
        let http2 = Activity { is_http2: true, is_reading: true, ..Activity::default() };
        for activity in [busy, http2] {
            assert!(!pace.is_over(now, activity));
            assert!(!pace.is_over(now + 10 * IDLE, activity));
        }
        let idle = Activity { is_busy: false, ..busy };
        assert!(!pace.is_over(now + 20 * IDLE, idle), "waits from now on");
    }

    #[test]
    fn looks_often_enough_to_be_late_by_a_quarter() {
        assert_eq!(begun().0.period(), HEAD / 4);
        assert!(!Pace::new(Duration::ZERO, IDLE).period().is_zero());
    }
}
