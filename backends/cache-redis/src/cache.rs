//! The cache in Redis, and the copies in this process before it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regatta_cache::{Begin, Cache, CacheError, Fill, Found, Invalidate, Key, NewEntry, Usage};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::near::{Near, listen};
use crate::remote::Remote;
use crate::{InvalidOptions, Options};

/// A cache in Redis; clones share it and its connections.
#[derive(Clone)]
pub struct RedisCache {
    remote: Arc<Remote>,
    near: Option<Arc<Near>>,
    /// Ends the task that listens with the last clone.
    _listening: Option<Arc<DropGuard>>,
}

impl RedisCache {
    /// A cache on this server, which need not be there yet. Call it inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions`] names the first option out of range.
    pub fn try_new(options: Options) -> Result<Self, InvalidOptions> {
        options.validate()?;
        let near = (!options.near_ttl.is_zero())
            .then(|| Arc::new(Near::new(options.near_ttl, options.near_bytes)));
        let remote = Arc::new(Remote::try_new(options)?);
        let end = CancellationToken::new();
        // Also without copies: the task makes up for what is owed when nobody asks.
        let task = listen(remote.clone(), near.clone(), end.clone());
        // It ends with the last clone, and holds nothing that has to be finished.
        TaskTracker::new().spawn(task);
        Ok(Self { remote, near, _listening: Some(Arc::new(end.drop_guard())) })
    }

    /// Whether this process hears the invalidations of others, so that its copies are up to date.
    pub fn is_listening(&self) -> bool {
        self.near.as_ref().is_some_and(|near| near.is_listening())
    }

    /// Drops copies in this process.
    fn drop_near(&self, what: &Invalidate) {
        let Some(near) = &self.near else { return };
        match what {
            // Copies do not know their tags.
            Invalidate::Tag(_) => near.memory.clear(),
            _ => {
                near.memory.drop_entries(what);
            }
        }
    }

    async fn get_through(&self, near: &Near, key: &Key) -> Result<Option<Found>, CacheError> {
        let is_listening = near.is_listening();
        if is_listening && let Some(json) = near.memory.find(key) {
            return Ok(Some(Found { json, is_stale: false }));
        }
        // Before the question: an invalidation after Redis has answered must drop the copy.
        let copy = near.memory.begin_unleased(key);
        match self.remote.get_with_ttl(key).await {
            Ok(Some((json, left))) => {
                if is_listening {
                    let ttl = left.min(near.ttl);
                    let entry = NewEntry { json: json.clone(), ttl, tags: Vec::new() };
                    near.memory.end(key, &copy, &entry);
                }
                Ok(Some(Found { json, is_stale: false }))
            }
            Ok(None) => Ok(None),
            Err(error) => match near.memory.find(key) {
                Some(json) => Ok(Some(Found { json, is_stale: true })),
                None => Err(error),
            },
        }
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &Key) -> Result<Option<Found>, CacheError> {
        match &self.near {
            Some(near) => self.get_through(near, key).await,
            None => Ok(self.remote.get(key).await?.map(|json| Found { json, is_stale: false })),
        }
    }

    async fn begin(&self, key: &Key, lease: Duration) -> Result<Begin, CacheError> {
        self.remote.begin(key, lease).await
    }

    async fn fill(&self, key: &Key, fill: Fill, entry: &NewEntry) -> Result<bool, CacheError> {
        self.remote.fill(key, fill, entry).await
    }

    async fn abandon(&self, key: &Key, fill: Fill) -> Result<(), CacheError> {
        self.remote.abandon(key, fill).await
    }

    async fn put(&self, key: &Key, entry: &NewEntry) -> Result<(), CacheError> {
        let what = Invalidate::Keys(vec![key.clone()]);
        self.drop_near(&what);
        let put = self.remote.put(key, entry).await;
        // A copy that was made meanwhile may be of before.
        self.drop_near(&what);
        if put.is_err() {
            // What stands there is out of date, or will be when a late answer arrives.
            self.remote.owe(what);
        }
        put
    }

    async fn invalidate(&self, what: &Invalidate) -> Result<u64, CacheError> {
        self.drop_near(what);
        let invalidated = self.remote.invalidate(what).await;
        self.drop_near(what);
        if invalidated.is_err() {
            self.remote.owe(what.clone());
        }
        invalidated
    }

    async fn probe(&self) -> Result<(), CacheError> {
        self.remote.probe().await
    }

    fn usage(&self) -> Usage {
        self.near.as_ref().map(|near| near.memory.usage()).unwrap_or_default()
    }
}

impl fmt::Debug for RedisCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCache").field("remote", &self.remote).finish_non_exhaustive()
    }
}
