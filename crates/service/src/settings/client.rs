//! Group `client`: calls to other services.

use std::time::Duration;

use regatta_client::Options;
use regatta_config::{choices, settings};
use regatta_resilience::breaker;
use regatta_resilience::retry::Backoff;

settings! {
    /// How calls to other services are bounded, balanced and repeated.
    pub struct ClientSettings in "client" {
        /// Longest time for a call with all its tries; a caller's earlier deadline comes first.
        pub timeout: Duration = Duration::from_secs(15), range POSITIVE..;
        /// Longest time for one try, until the response begins.
        pub try_timeout: Duration = Duration::from_secs(5), range POSITIVE..;
        /// Longest time for a connection.
        pub connect_timeout: Duration = Duration::from_secs(1), range POSITIVE..;
        /// Tries of one call, the first included; 1 switches retries off.
        pub tries: u32 = 3, range 1..=10;
        /// Longest wait before the first retry; doubles with each further one, up to 4 s.
        pub first_backoff: Duration = Duration::from_secs(1), range ..=LONGEST_BACKOFF;
        /// Retries of a service's calls, as a percentage of those that succeed.
        pub retry_percent: u32 = 20, range ..=100;
        /// How instances take turns.
        pub strategy: Strategy;
        /// Failures in a row after which an instance is left alone.
        pub failure_threshold: u32 = 5, range 1..;
        /// How long it is left alone before one call tries it again.
        pub open_for: Duration = Duration::from_secs(60), range POSITIVE..;
    }
}

choices! {
    /// How instances take turns.
    #[derive(Default)]
    pub enum Strategy {
        /// One after the other.
        #[default]
        RoundRobin = "round_robin",
        /// Any, each as likely.
        Random = "random",
        /// In turn, each as often as its weight says.
        Weighted = "weighted",
    }
}

/// A wait of no time never succeeds.
const POSITIVE: Duration = Duration::from_millis(1);

/// The longest wait between two tries (seed, R17).
const LONGEST_BACKOFF: Duration = Duration::from_secs(4);

impl ClientSettings {
    pub(crate) fn options(&self) -> Options {
        use regatta_traffic::balance::Strategy as Turns;
        let mut options = Options::default();
        options.timeout = self.timeout;
        options.try_timeout = self.try_timeout;
        options.connect_timeout = self.connect_timeout;
        options.retry.tries = self.tries;
        // The range of the setting keeps the first below the longest.
        if let Ok(backoff) = Backoff::try_new(self.first_backoff, LONGEST_BACKOFF) {
            options.retry.backoff = backoff;
        }
        options.retry_percent = self.retry_percent;
        let breaker = breaker::Settings::default();
        options.cluster.breaker = Some(
            breaker.with_failure_threshold(self.failure_threshold).with_open_for(self.open_for),
        );
        options.cluster.balance = match self.strategy {
            Strategy::RoundRobin => Turns::RoundRobin,
            Strategy::Random => Turns::Random,
            Strategy::Weighted => Turns::Weighted,
        };
        options
    }
}
