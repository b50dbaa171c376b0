//! Rate limits that replicas share, counted in Redis.
//!
//! Each call is one round trip and one script, which Redis runs whole, on its own clock: replicas
//! need no common clock, and no two calls see the same count.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use regatta_limits_redis::{Options, Redis};
//! use regatta_resilience::rate_limit::{Algorithm, Limiter, OnOutage, Settings, Steadfast};
//!
//! let redis = Redis::try_new(Options::new("redis://127.0.0.1:6379"))?;
//! let settings = Settings::new(60, Duration::from_secs(60));
//! let shared = redis.limiter("per-client", &settings, Algorithm::SlidingWindow)?;
//! let here = Limiter::try_new(settings, Algorithm::SlidingWindow)?;
//! let limit = Steadfast::new(shared, OnOutage::Count(here));
//! if !limit.check("alice").await.decision.allowed { /* 429 */ }
//! # Ok(())
//! # }
//! ```
//!
//! # How exact it is
//!
//! Both algorithms admit at most the limit in every window of the server's clock, which counts in
//! microseconds; their error in calls is zero. What remains is the server's: when its clock is set
//! forward by `s`, the windows under way are `s` shorter (set back, they are stricter); when it
//! fails over to a replica that had not seen the last `n` calls, up to `n` more are admitted; when
//! it evicts a key for want of memory, or is restarted without its data, that client begins anew.
//!
//! # What it costs
//!
//! A client with calls in the window takes about 12 bytes a call and 130 for its key under the
//! sliding window, 130 under GCRA, until its calls have left the window, at most a quarter of the
//! window longer. Redis bounds the whole:
//! set its `maxmemory`, and `maxmemory-policy volatile-ttl`. A script runs a few microseconds; the
//! sliding window takes at most 10,000 calls a window, so that it never runs longer than a few
//! milliseconds. Larger limits are GCRA's.
//!
//! # When Redis is away
//!
//! A call waits at most [`Options::timeout`] and fails as `Unavailable`; what then happens is
//! [`OnOutage`]'s choice. After five failures in a row nobody waits any more, and one call a second
//! looks whether it is back. At most [`Options::in_flight`] calls wait at a time.
//!
//! It knows one server (or a proxy that looks like one): no cluster, no sentinel.
//!
//! [`OnOutage`]: regatta_resilience::rate_limit::OnOutage

mod options;
pub use options::{InvalidOptions, Options};

mod quota;
pub use quota::InvalidQuota;

mod redis;
pub use crate::redis::Redis;
