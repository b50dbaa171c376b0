//! Groups `shed` and `rate_limit`: how many requests are let in.

use std::time::Duration;

use regatta_config::{ByteSize, choices, settings};
use regatta_resilience::concurrency::{self, Adaptive};
use regatta_resilience::rate_limit;
use regatta_traffic::clients::Counting;

settings! {
    /// Requests that are worked on at a time, and who is turned away when there is no room: 503
    /// with Retry-After, or UNAVAILABLE over gRPC, the least urgent first (header `priority`,
    /// RFC 9218). Health and metrics are never turned away. A change of the file holds at once.
    pub struct ShedSettings in "shed" {
        /// Requests at a time, until their answers begin; 0 sets no limit.
        pub limit: u32 = 1024, range ..=1_000_000;
        /// Requests that may wait for room.
        pub queue: u32 = 256, range ..=1_000_000;
        /// Longest wait for room; the request's deadline may shorten it.
        pub queue_timeout: Duration = Duration::from_millis(250), range ..=Duration::from_secs(60);
        /// Share of the limit, in percent, that is kept free of requests less urgent than most.
        pub reserved_percent: u32 = 20, range ..=100;
        /// Whether the limit follows the latency of the answers (Gradient2).
        pub adaptive: bool = false;
        /// The least limit when it does.
        pub least: u32 = 8, range 1..=1_000_000;
        /// The largest limit when it does.
        pub most: u32 = 1024, range 1..=1_000_000;
        /// How much slower than usual is not yet slow, in percent of the usual.
        pub tolerance_percent: u32 = 150, range 100..=1000;
    }
}

settings! {
    /// Requests that each client may make: 429 with Retry-After beyond it, or RESOURCE_EXHAUSTED
    /// over gRPC. A client is what the header X-Client-ID says, else its address, or whom a hop of
    /// `server.trusted_hops` names. Off by default: the gateway counts clients, and most callers of a
    /// service are other services. With `limits.url` all replicas share the counts.
    pub struct RateLimitSettings in "rate_limit" {
        /// Requests per client and window; 0 sets no limit.
        pub requests: u32 = 0, range ..=1_000_000;
        /// The length of a window.
        pub window: Duration = Duration::from_secs(60),
            range Duration::from_millis(1)..=Duration::from_secs(86_400);
        /// How requests are counted.
        pub algorithm: RateAlgorithm;
        /// Requests at once that gcra lets through after a rest; a tenth of the limit when not set.
        /// Who never rests gets the limit less the burst, and one.
        pub burst: Option<u32>;
        /// The most memory for all clients together; half of it is for ids and half for addresses,
        /// so that ids which are made up keep out nobody who is known by the address.
        pub max_bytes: ByteSize = ByteSize::mib(32);
    }
}

choices! {
    /// How requests are counted.
    #[derive(Default)]
    pub enum RateAlgorithm {
        /// Never more than the limit in any window.
        #[default]
        SlidingWindow = "sliding_window",
        /// Evenly paced, with a burst.
        Gcra = "gcra",
    }
}

/// A limit that no service reaches.
const NO_LIMIT: u32 = 1_000_000;

impl ShedSettings {
    pub(crate) fn concurrency(&self) -> concurrency::Settings {
        let limit = if self.limit == 0 { NO_LIMIT } else { self.limit };
        let adaptive = self.adaptive.then(|| {
            let mut adaptive = Adaptive::default();
            adaptive.least = self.least;
            adaptive.most = self.most;
            adaptive.tolerance_percent = self.tolerance_percent;
            adaptive
        });
        concurrency::Settings::new(limit)
            .with_queue(self.queue, self.queue_timeout)
            .with_reserved_percent(self.reserved_percent)
            .with_adaptive(adaptive)
    }
}

impl RateLimitSettings {
    /// How clients are counted, each replica for itself; none when no limit is set.
    pub(crate) fn counting(&self) -> Result<Option<Counting>, rate_limit::InvalidSettings> {
        if self.requests == 0 {
            return Ok(None);
        }
        let (settings, algorithm) = self.rules();
        if let rate_limit::Algorithm::Gcra { burst } = algorithm {
            settings.validate_pace(burst)?;
        }
        Ok(Some(Counting { settings, algorithm, by_name: true, shared: None }))
    }

    /// How much, in which time, counted how.
    pub(crate) fn rules(&self) -> (rate_limit::Settings, rate_limit::Algorithm) {
        let settings = rate_limit::Settings::new(self.requests, self.window);
        let settings = settings.with_max_bytes(self.max_bytes.as_usize());
        let algorithm = match self.algorithm {
            RateAlgorithm::SlidingWindow => rate_limit::Algorithm::SlidingWindow,
            RateAlgorithm::Gcra => {
                let default = || rate_limit::Gcra::default_burst(self.requests);
                rate_limit::Algorithm::Gcra { burst: self.burst.unwrap_or_else(default) }
            }
        };
        (settings, algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_rules() {
        assert_eq!(ShedSettings::default().concurrency(), concurrency::Settings::default());
        let adaptive = ShedSettings { adaptive: true, ..ShedSettings::default() };
        assert_eq!(adaptive.concurrency().adaptive, Some(Adaptive::default()));
        assert!(RateLimitSettings::default().counting().unwrap().is_none());
    }

    #[test]
    fn a_burst_that_leaves_no_pace_is_refused() {
        for burst in [10, 11] {
            assert!(paced(10, Some(burst)).counting().is_err(), "{burst}");
        }
        assert!(paced(10, Some(9)).counting().is_ok());
        assert!(paced(1, Some(1)).counting().is_ok());
    }

    #[test]
    fn who_asks_for_a_pace_without_a_burst_gets_one() {
        for (requests, burst) in [(100, 10), (5, 1), (1, 1)] {
            let (_, algorithm) = paced(requests, None).rules();
            assert_eq!(algorithm, rate_limit::Algorithm::Gcra { burst });
            assert!(paced(requests, None).counting().is_ok());
        }
    }

    fn paced(requests: u32, burst: Option<u32>) -> RateLimitSettings {
        let algorithm = RateAlgorithm::Gcra;
        RateLimitSettings { requests, algorithm, burst, ..RateLimitSettings::default() }
    }
}
