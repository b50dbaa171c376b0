//! A cache that processes share, in Redis, with a level in the process before it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use regatta_cache::{CacheAside, Policy};
//! use regatta_cache_redis::{Options, RedisCache};
//!
//! let options = Options::new("redis://127.0.0.1:6379").with_prefix("user-service");
//! let backend = Arc::new(RedisCache::try_new(options)?);
//! # let telemetry = regatta_telemetry::Telemetry::global();
//! let cache = CacheAside::try_new(backend, Policy::default(), &telemetry)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is in Redis
//!
//! A value is a string of JSON under prefix, `:` and key, with its time to live: any client reads it.
//! Names with `~` after the prefix are the cache's own: `~version:` and `~lease:` of keys that were
//! invalidated or are being loaded, `~tag:` sets, `~epoch`, and the channel `~invalidate`.
//!
//! # How old an answer may be
//!
//! After an invalidation has returned, this process answers nothing from before it. Other processes
//! drop their copies as the message reaches them, usually within a millisecond. When a message is
//! lost with its connection they notice within 3 s; and no copy is believed longer than
//! [`Options::near_ttl`], 10 s. A value that another program changes without a message is seen after
//! that time too.
//!
//! # When Redis is away
//!
//! A call waits at most [`Options::timeout`]; after five failures in a row nobody waits any more, and
//! one call a second looks whether it is back. Copies are served as stale until their time is over. An
//! invalidation that Redis could not be told of is owed: this process asks Redis nothing until it has
//! been made up for, which the first contact does. A process that ends before that leaves what was in
//! Redis to its time to live.
//!
//! # What it relies on
//!
//! One server (or a proxy that looks like one), of version 6 or later: no cluster, whose keys lie
//! apart. With `maxmemory-policy allkeys-lru` Redis may let go of a version of the last ten minutes,
//! and with it of the protection of a fill that is under way; `volatile-ttl` and enough memory do not.

mod options;
pub use options::{InvalidOptions, Options};

mod cache;
pub use cache::RedisCache;

mod remote;

mod near;

mod names;

mod message;

mod owed;
