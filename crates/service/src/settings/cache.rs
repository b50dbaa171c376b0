//! Group `cache`: where answers are kept for a while, and for how long.

use std::time::Duration;

use regatta_config::settings;
use regatta_core::Secret;

settings! {
    /// Where answers are kept for a while, and for how long.
    pub struct CacheSettings in "cache" {
        /// memory: for each process its own, redis://host:port or rediss://host:port for one that
        /// replicas share. When it is not set, redis.url (REDIS_URL) is the default, and memory:
        /// where that is not set either.
        pub url: Option<Secret>;
        /// What stands before every key in Redis, with a colon; the service's name when it is not
        /// set. Empty for none.
        pub prefix: Option<String>;
        /// How long an entry is kept, if the program does not say otherwise.
        pub ttl: Duration = Duration::from_secs(3600), range MILLISECOND..=MONTH;
        /// How long it is remembered that there is nothing.
        pub negative_ttl: Duration = Duration::from_secs(30), range MILLISECOND..=MONTH;
        /// By what part of it a time to live is shortened at random, so that entries that were
        /// made together do not end together.
        pub jitter: f64 = 0.1, range 0.0..=0.9;
        /// The longest time an entry is kept with memory:, since this process does not hear of the
        /// writes of other replicas. Where there is one replica, as long as you like.
        pub memory_ttl: Duration = Duration::from_secs(1), range MILLISECOND..=MONTH;
        /// Memory for entries in this process, in bytes, with memory:.
        pub memory_bytes: u64 = 64 << 20, range 65_536..;
        /// The longest wait for an answer of Redis.
        pub timeout: Duration = Duration::from_millis(100),
            range MILLISECOND..=Duration::from_secs(10);
        /// How long a copy in this process is believed, before Redis is asked; 0 for no copies. So
        /// old an answer may be while Redis is away.
        pub near_ttl: Duration = Duration::from_secs(10),
            range Duration::ZERO..=Duration::from_secs(60);
        /// Memory for copies in this process, in bytes.
        pub near_bytes: u64 = 16 << 20, range 65_536..;
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const MONTH: Duration = Duration::from_secs(30 * 86_400);
