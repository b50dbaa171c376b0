//! Decides when a connection has kept us waiting for too long.

use std::time::{Duration, Instant};

use super::Limits;

/// What a connection has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Activity {
    /// Requests whose header was read.
    pub(super) requests: u64,
    /// Requests that are being answered.
    pub(super) in_flight: u32,
    /// Whether bytes came in since the latest header was read.
    pub(super) is_reading: bool,
    /// Whether it speaks HTTP/2.
    pub(super) is_http2: bool,
    /// Whether the latest write found no room, because the peer does not read.
    pub(super) is_blocked: bool,
    /// Bytes written.
    pub(super) written: u64,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is fine.
    Keep,
    /// Closed: a header has taken too long (slowloris), or none ever came.
    HeaderTimeout,
    /// Closed: the peer has taken no byte of an answer for too long.
    WriteTimeout,
    /// Closed politely: no request for the time that idle connections are kept.
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
    write_timeout: Duration,
    idle_timeout: Duration,
    last: Option<(Wait, Instant)>,
}

/// What a connection waits for; it waits anew when any of the numbers has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The peer to read, `written` bytes having gone out.
    Room { written: u64 },
    /// The rest of a header, after so many requests.
    Header { requests: u64 },
    /// The next request, after so many. Answers of a known length may still be going out.
    Request { requests: u64, written: u64 },
}

impl Watchdog {
    pub(super) fn new(limits: &Limits) -> Self {
        let Limits { header_read_timeout, write_timeout, idle_timeout, .. } = *limits;
        Self { header_read_timeout, write_timeout, idle_timeout, last: None }
    }

    /// How often to look.
    pub(super) fn period(&self) -> Duration {
        let shortest = self.header_read_timeout.min(self.write_timeout).min(self.idle_timeout);
        (shortest / 4).max(Duration::from_millis(1))
    }

    /// Forgets since when it waits.
    pub(super) fn begin_again(&mut self) {
        self.last = None;
    }

    /// Looks at the connection.
    pub(super) fn look(&mut self, now: Instant, activity: Activity) -> Verdict {
        let Some(wait) = Wait::of(activity) else {
            self.last = None;
            return Verdict::Keep;
        };
        let since = match self.last {
            Some((last, since)) if last == wait => since,
            _ => now,
        };
        self.last = Some((wait, since));
        let (timeout, verdict) = match wait {
            Wait::Room { .. } => (self.write_timeout, Verdict::WriteTimeout),
            Wait::Header { .. } => (self.header_read_timeout, Verdict::HeaderTimeout),
            Wait::Request { .. } => (self.idle_timeout, Verdict::Idle),
        };
        let waited = now.saturating_duration_since(since);
        if waited >= timeout { verdict } else { Verdict::Keep }
    }
}

impl Wait {
    /// What this connection waits for; none while a handler works on an answer.
    fn of(activity: Activity) -> Option<Self> {
        let Activity { requests, in_flight, is_reading, is_http2, is_blocked, written } = activity;
        if is_blocked {
            return Some(Self::Room { written });
        }
        if in_flight > 0 {
            return None;
        }
        Some(match is_http2 {
            // Answered pings are bytes too, so only requests count. Frames are not told apart, and
            // a header that trickles in is bounded by the idle timeout instead.
            true => Self::Request { requests, written: 0 },
            // A connection that was just opened owes its first header without delay.
            false if is_reading || requests == 0 => Self::Header { requests },
            false => Self::Request { requests, written },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: Activity = Activity {
        requests: 0,
        in_flight: 0,
        is_reading: false,
        is_http2: false,
        is_blocked: false,
        written: 0,
    };

    #[expect(clippy::disallowed_methods, reason = "any instant does; none can be made otherwise")]
    fn start() -> Instant {
        Instant::now()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn watching(header_read_timeout: Duration, idle_timeout: Duration) -> Watchdog {
        let write_timeout = seconds(30);
        Watchdog { header_read_timeout, write_timeout, idle_timeout, last: None }
    }

    fn watchdog() -> Watchdog {
        watching(seconds(10), seconds(60))
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
    fn a_request_in_flight_may_take_its_time() {
        let (mut dog, start) = (watchdog(), start());
        let busy = Activity { requests: 1, in_flight: 1, is_reading: true, ..OPENED };
        assert_eq!(dog.look(start, busy), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(1000), busy), Verdict::Keep);
        let idle = Activity { requests: 1, ..OPENED };
        assert_eq!(dog.look(start + seconds(1001), idle), Verdict::Keep, "waits only from now on");
    }

    #[test]
    fn an_http2_connection_is_idle_without_requests_whatever_its_pings() {
        let (mut dog, start) = (watchdog(), start());
        let pinging = |written| Activity { is_http2: true, is_reading: true, written, ..OPENED };
        for n in 0..60 {
            assert_eq!(dog.look(start + seconds(n), pinging(17 * n)), Verdict::Keep);
        }
        assert_eq!(dog.look(start + seconds(60), pinging(60 * 17)), Verdict::Idle);
        let request = Activity { requests: 1, ..pinging(0) };
        assert_eq!(dog.look(start + seconds(61), request), Verdict::Keep);
    }

    #[test]
    fn a_peer_that_reads_nothing_is_closed_also_in_the_middle_of_an_answer() {
        let (mut dog, start) = (watchdog(), start());
        let stalled = Activity { in_flight: 1, is_blocked: true, written: 100, ..OPENED };
        assert_eq!(dog.look(start, stalled), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(29), stalled), Verdict::Keep);
        assert_eq!(dog.look(start + seconds(30), stalled), Verdict::WriteTimeout);
    }

    #[test]
    fn a_download_goes_on_for_as_long_as_it_progresses() {
        let (mut dog, start) = (watchdog(), start());
        // Of a known length: its request is not in flight any more.
        for n in 0..1000 {
            let is_blocked = n % 2 == 0;
            let slow = Activity { requests: 1, is_blocked, written: n, ..OPENED };
            assert_eq!(dog.look(start + seconds(25 * n), slow), Verdict::Keep, "{n}");
        }
    }

    #[test]
    fn looks_often_enough_to_be_late_by_a_quarter_at_most() {
        assert_eq!(watchdog().period(), seconds(10) / 4);
        assert!(!watching(Duration::ZERO, Duration::ZERO).period().is_zero());
    }
}
