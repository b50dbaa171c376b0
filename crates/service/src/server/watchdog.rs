//! Decides when a connection has kept us waiting for too long.

use std::time::{Duration, Instant};

/// What a connection has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Activity {
    /// Requests whose header was read.
    pub(super) requests: u64,
    /// Requests that are being answered.
    pub(super) in_flight: u32,
    /// Whether bytes came in since the latest header was read.
    pub(super) is_reading: bool,
    /// Whether it speaks HTTP/2, whose pings find out dead peers.
    pub(super) is_http2: bool,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is fine.
    Keep,
    /// A header has taken too long (slowloris), or none ever came.
    HeaderTimeout,
    /// No request for the time that idle connections are kept.
    Idle,
}

/// Looks at a connection now and then, and remembers since when it waits.
///
/// A timer that is set and cleared with each request costs more than the rest of the connection's
/// bookkeeping together (hyper's `header_read_timeout` does that, and counts idle time as header
/// time besides); a look every quarter of the timeout costs nothing and is late by that much.
#[derive(Debug)]
pub(super) struct Watchdog {
    header_read_timeout: Duration,
    idle_timeout: Duration,
    last: Option<Waiting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    since: Instant,
    requests: u64,
    for_header: bool,
}

impl Watchdog {
    pub(super) fn new(header_read_timeout: Duration, idle_timeout: Duration) -> Self {
        Self { header_read_timeout, idle_timeout, last: None }
    }

    /// How often to look.
    pub(super) fn period(&self) -> Duration {
        (self.header_read_timeout.min(self.idle_timeout) / 4).max(Duration::from_millis(1))
    }

    /// Looks at the connection.
    pub(super) fn look(&mut self, now: Instant, activity: Activity) -> Verdict {
        if activity.in_flight > 0 || activity.is_http2 {
            self.last = None;
            return Verdict::Keep;
        }
        let requests = activity.requests;
        // A connection that was just opened owes its first header without delay.
        let for_header = activity.is_reading || requests == 0;
        let waiting = match self.last {
            Some(last) if last.requests == requests && last.for_header == for_header => last,
            _ => Waiting { since: now, requests, for_header },
        };
        self.last = Some(waiting);
        let waited = now.saturating_duration_since(waiting.since);
        match for_header {
            true if waited >= self.header_read_timeout => Verdict::HeaderTimeout,
            false if waited >= self.idle_timeout => Verdict::Idle,
            _ => Verdict::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: Activity =
        Activity { requests: 0, in_flight: 0, is_reading: false, is_http2: false };

    #[expect(clippy::disallowed_methods, reason = "any instant does; none can be made otherwise")]
    fn start() -> Instant {
        Instant::now()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn watchdog() -> Watchdog {
        Watchdog::new(seconds(10), seconds(60))
    }

    #[test]
    fn a_connection_that_never_sends_a_header_is_closed() {
        let (mut dog, start) = (watchdog(), start());
        assert_eq!(dog.look(start, OPENED), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(9), OPENED), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(10), OPENED), Verdict::HeaderTimeout);
    }

    #[test]
    fn bytes_that_trickle_in_do_not_extend_the_header() {
        let (mut dog, start) = (watchdog(), start());
        let trickling = Activity { requests: 3, is_reading: true, ..OPENED };
        assert_eq!(dog.look(start, trickling), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(9), trickling), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(10), trickling), Verdict::HeaderTimeout);
    }

    #[test]
    fn an_idle_connection_is_kept_longer_than_a_header() {
        let (mut dog, start) = (watchdog(), start());
        let idle = Activity { requests: 3, ..OPENED };
        assert_eq!(dog.look(start, idle), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(59), idle), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(60), idle), Verdict::Idle);
    }

    #[test]
    fn the_first_byte_of_a_header_starts_its_own_time() {
        let (mut dog, start) = (watchdog(), start());
        let idle = Activity { requests: 3, ..OPENED };
        let reading = Activity { is_reading: true, ..idle };
        assert_eq!(dog.look(start, idle), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(50), reading), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(59), reading), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(60), reading), Verdict::HeaderTimeout);
    }

    #[test]
    fn each_request_starts_the_time_again() {
        let (mut dog, start) = (watchdog(), start());
        for n in 1..100 {
            let activity = Activity { requests: n, is_reading: n % 2 == 0, ..OPENED };
            assert_eq!(dog.look(start + seconds(9 * n), activity), Verdict::Keep);
        }
    }

    #[test]
    fn a_request_in_flight_may_take_its_time_and_so_may_http2() {
        let (mut dog, start) = (watchdog(), start());
        let busy = Activity { requests: 1, in_flight: 1, is_reading: true, is_http2: false };
        let http2 = Activity { is_http2: true, ..OPENED };
        for activity in [busy, http2] {
            assert_eq!(dog.look(start, activity), Verdict::Keep);
            assert_eq!(dog.look(start + seconds(1000), activity), Verdict::Keep);
        }
        let idle = Activity { requests: 1, ..OPENED };
        assert_eq!(dog.look(start + seconds(1001), idle), Verdict::Keep, "waits only from now on");
    }

    #[test]
    fn looks_often_enough_to_be_late_by_a_quarter_at_most() {
        assert_eq!(watchdog().period(), seconds(10) / 4);
        assert!(!Watchdog::new(Duration::ZERO, Duration::ZERO).period().is_zero());
    }
}
