//! A cache that can be away, for tests of those who use one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use regatta_cache::{
    Begin, Cache, CacheError, Fill, Found, Invalidate, Key, MemoryCache, NewEntry, Usage,
};

/// A cache in memory that answers nothing while it is away.
#[derive(Debug, Default)]
pub(crate) struct Faulty {
    pub(crate) memory: MemoryCache,
    pub(crate) is_away: AtomicBool,
    pub(crate) is_stale: AtomicBool,
}

impl Faulty {
    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), CacheError> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(CacheError::Unavailable("away".into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Cache for Faulty {
    async fn get(&self, key: &Key) -> Result<Option<Found>, CacheError> {
        self.check()?;
        let found = self.memory.get(key).await?;
        let is_stale = self.is_stale.load(Ordering::SeqCst);
        Ok(found.map(|found| Found { is_stale, ..found }))
    }

    async fn begin(&self, key: &Key, lease: Duration) -> Result<Begin, CacheError> {
        self.check()?;
        self.memory.begin(key, lease).await
    }

    async fn fill(&self, key: &Key, fill: Fill, entry: &NewEntry) -> Result<bool, CacheError> {
        self.check()?;
        self.memory.fill(key, fill, entry).await
    }

    async fn abandon(&self, key: &Key, fill: Fill) -> Result<(), CacheError> {
        self.check()?;
        self.memory.abandon(key, fill).await
    }

    async fn put(&self, key: &Key, entry: &NewEntry) -> Result<(), CacheError> {
        self.check()?;
        self.memory.put(key, entry).await
    }

    async fn invalidate(&self, what: &Invalidate) -> Result<u64, CacheError> {
        self.check()?;
        self.memory.invalidate(what).await
    }

    async fn probe(&self) -> Result<(), CacheError> {
        self.check()
    }

    fn usage(&self) -> Usage {
        self.memory.usage()
    }
}
