//! Answers kept for a while: the port [`Cache`], cache-aside on top, a cache in memory.
//!
//! A service asks its [`CacheAside`] for an [`Entry`], and says how to load what is not there:
//!
//! ```
//! use std::sync::Arc;
//! use regatta_cache::{CacheAside, MemoryCache, Policy};
//! # use regatta_telemetry::Telemetry;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let backend = Arc::new(MemoryCache::default());
//! let cache = CacheAside::try_new(backend, Policy::default(), &Telemetry::global())?;
//! let load = || async { Ok::<_, std::io::Error>("Ada".to_owned()) };
//! let name: String = cache.entry("user:42").get_or_load(load).await?;
//! assert_eq!(name, "Ada");
//! // Around a write:
//! let write = cache.write().key("user:42");
//! // … the store is told here …
//! write.done().await;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - **Single flight**: of those who miss a key at once, one loads.
//! - **No old value comes back**: a fill that began before an invalidation is dropped (leases: Nishtala
//!   et al., *Scaling Memcache at Facebook*, NSDI 2013).
//! - **It fails no request**: without its cache a service is slower, and says so.
//!
//! | feature | effect | default |
//! |---|---|---|
//! | `conformance` | the checks every backend must pass | off |
//!
//! What it does not do: no write-behind; no refreshing ahead of time; no promise that an entry stays.

mod key;
pub use key::{InvalidKey, Key, Pattern, Tag};

mod port;
pub use port::{Begin, Cache, CacheError, Fill, Found, Invalidate, NewEntry, Usage};

mod policy;
pub use policy::{InvalidPolicy, Policy};

mod aside;
pub use aside::CacheAside;

mod entry;
pub use entry::Entry;

mod write;
pub use write::Write;

mod flight;

mod metrics;
pub use metrics::Outcome;

mod memory;
pub use memory::MemoryCache;

#[cfg(feature = "conformance")]
pub mod conformance;
