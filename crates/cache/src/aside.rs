//! Cache-aside: what a service holds of its cache.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use regatta_core::Chain;
use regatta_telemetry::Telemetry;
use tokio_util::task::TaskTracker;

use crate::flight::Flights;
use crate::metrics::Metrics;
use crate::{
    Cache, CacheError, Entry, InvalidKey, InvalidPolicy, Invalidate, Key, Pattern, Policy, Tag,
    Write,
};

/// A service's cache; clones share it.
///
/// It never fails a request: when the cache behind it is away, what is asked for is loaded, and
/// health, metrics and spans say so.
#[derive(Clone)]
pub struct CacheAside {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Cache>,
    pub(crate) policy: Policy,
    pub(crate) flights: Flights,
    pub(crate) metrics: Metrics,
    /// Fills that nobody ended are given back in tasks, and what a write that was given up made old is
    /// dropped; each ends by itself, so nobody waits.
    pub(crate) tasks: TaskTracker,
    is_away: AtomicBool,
}

impl CacheAside {
    /// A cache on this backend.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] names the first setting out of range.
    pub fn try_new(
        backend: Arc<dyn Cache>,
        policy: Policy,
        telemetry: &Telemetry,
    ) -> Result<Self, InvalidPolicy> {
        policy.validate()?;
        let metrics = Metrics::new(telemetry, &backend);
        let shared = Shared {
            backend,
            policy,
            flights: Flights::default(),
            metrics,
            tasks: TaskTracker::new(),
            is_away: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The entry of this key, to be got, loaded or put.
    ///
    /// A text that is no key ([`Key::try_new`]) is loaded and not kept, and logged.
    pub fn entry(&self, key: impl AsRef<str>) -> Entry<'_> {
        Entry::new(&self.shared, Key::try_new(key))
    }

    /// Begins a write: say what it makes old, write, and end with [`Write::done`]. What is given up
    /// half-way, at a deadline or because its caller has gone, is told to the cache all the same.
    pub fn write(&self) -> Write {
        Write::new(self.shared.clone())
    }

    /// Drops the entry of this key, and every fill of it that is under way. Around a write use
    /// [`CacheAside::write`], which survives a handler that is dropped. Who asks this process after it returns gets what was written.
    ///
    /// Answers false when the cache could not be told. It is told as soon as it is there again;
    /// until then this process asks it nothing, while others may serve what was there.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may not have dropped the entry.
    pub async fn invalidate(&self, key: impl AsRef<str>) -> bool {
        let key = Key::try_new(key);
        self.drop_entries(key.map(|key| Invalidate::Keys(vec![key]))).await
    }

    /// Drops the entries that carry this tag, as [`CacheAside::invalidate`] does.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have dropped some.
    pub async fn invalidate_tag(&self, tag: impl AsRef<str>) -> bool {
        self.drop_entries(Tag::try_new(tag).map(Invalidate::Tag)).await
    }

    /// Drops the entries whose key this pattern fits (`user:*`), as [`CacheAside::invalidate`]
    /// does. The cost grows with all that the cache holds; tags cost what they drop.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have dropped some.
    pub async fn invalidate_pattern(&self, pattern: impl AsRef<str>) -> bool {
        self.drop_entries(Pattern::try_new(pattern).map(Invalidate::Pattern)).await
    }

    /// Asks whether the cache behind it serves, for health. The service can do without it.
    ///
    /// # Errors
    ///
    /// [`CacheError`] with the reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn probe(&self) -> Result<(), CacheError> {
        self.shared.backend.probe().await
    }

    async fn drop_entries(&self, what: Result<Invalidate, InvalidKey>) -> bool {
        let what = match what {
            Ok(what) => what,
            Err(error) => {
                tracing::warn!(%error, "nothing is invalidated");
                return true;
            }
        };
        self.shared.drop_entries(&what).await
    }
}

impl Shared {
    /// Whether the cache behind it could be told.
    pub(crate) async fn drop_entries(&self, what: &Invalidate) -> bool {
        let result = self.heard(self.backend.invalidate(what).await);
        self.flights.forget(what);
        self.metrics.invalidated(result.is_some());
        result.is_some()
    }

    /// An answer of the backend, or none; tells once when it goes and once when it is back.
    pub(crate) fn heard<T>(&self, answer: Result<T, CacheError>) -> Option<T> {
        match answer {
            Ok(answer) => {
                // Relaxed: it only keeps the log short.
                if self.is_away.load(Ordering::Relaxed)
                    && self.is_away.swap(false, Ordering::Relaxed)
                {
                    tracing::info!("the cache answers again");
                }
                Some(answer)
            }
            Err(error) => {
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(error = %Chain(&error), "going on without the cache");
                }
                None
            }
        }
    }
}

impl fmt::Debug for CacheAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheAside")
            .field("backend", &self.shared.backend)
            .field("policy", &self.shared.policy)
            .finish_non_exhaustive()
    }
}
