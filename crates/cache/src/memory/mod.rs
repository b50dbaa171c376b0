//! A cache in the memory of one process, bounded.

mod shard;
mod versions;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::{Begin, Cache, CacheError, Fill, Found, Invalidate, Key, NewEntry, Usage};
use shard::Shard;
use versions::Versions;

/// Parts with a lock of their own, so that threads seldom meet. A power of two.
const SHARDS: usize = 16;

/// A cache in memory; clones share it. Gone with its process.
///
/// It holds at most the bytes it was given, 64 MiB by default: texts, and 160 bytes an entry for
/// managing it. What was not asked for goes first.
#[derive(Clone, Debug)]
pub struct MemoryCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    shards: Box<[Mutex<Shard>]>,
    versions: Versions,
    leases: AtomicU64,
}

impl Default for MemoryCache {
    fn default() -> Self {
        Self::with_capacity(64 << 20)
    }
}

impl MemoryCache {
    /// A cache of so many bytes. An entry larger than a sixteenth of it is not kept.
    pub fn with_capacity(bytes: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new(bytes / SHARDS))).collect();
        let shared = Shared { shards, versions: Versions::new(), leases: AtomicU64::new(1) };
        Self { shared: Arc::new(shared) }
    }

    /// Finds an entry, at once.
    pub fn find(&self, key: &Key) -> Option<Bytes> {
        self.shard(key.as_str()).get(key.as_str(), Instant::now().into_std())
    }

    /// Begins a fill without a lease: for a level before another cache, which has leases.
    pub fn begin_unleased(&self, key: &Key) -> Fill {
        self.shared.versions.now(key.as_str())
    }

    /// Ends a fill, at once; false when it was dropped.
    pub fn end(&self, key: &Key, fill: &Fill, entry: &NewEntry) -> bool {
        let mut shard = self.shard(key.as_str());
        if fill.lease != 0 {
            shard.release(key.as_str(), fill.lease);
        }
        // Under the lock that an invalidation takes after it has counted: either the count is seen
        // here, or the entry is seen there.
        let holds = self.shared.versions.holds(key.as_str(), fill);
        if holds {
            shard.insert(key, entry, Instant::now().into_std());
        }
        holds
    }

    /// Keeps an entry, at once, and drops the fills of its key that are under way.
    pub fn set(&self, key: &Key, entry: &NewEntry) {
        self.shared.versions.bump(key.as_str());
        let mut shard = self.shard(key.as_str());
        shard.revoke(key.as_str());
        shard.insert(key, entry, Instant::now().into_std());
    }

    /// Drops entries, at once; answers how many.
    pub fn drop_entries(&self, what: &Invalidate) -> u64 {
        match what {
            Invalidate::Keys(keys) => {
                let remove = |key: &Key| {
                    self.shared.versions.bump(key.as_str());
                    let mut shard = self.shard(key.as_str());
                    shard.revoke(key.as_str());
                    u64::from(shard.remove(key.as_str()))
                };
                keys.iter().map(remove).sum()
            }
            Invalidate::Tag(tag) => {
                self.shared.versions.bump_all();
                self.shards().map(|mut shard| shard.remove_tagged(tag)).sum()
            }
            Invalidate::Pattern(pattern) => {
                self.shared.versions.bump_all();
                self.shards().map(|mut shard| shard.remove_where(|key| pattern.fits(key))).sum()
            }
        }
    }

    /// Drops everything, at once.
    pub fn clear(&self) {
        self.shared.versions.bump_all();
        for mut shard in self.shards() {
            shard.remove_where(|_| true);
        }
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, Shard> {
        let number = self.shared.versions.hash(key) as usize % SHARDS;
        lock(&self.shared.shards[number])
    }

    fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shared.shards.iter().map(lock)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing in a shard panics half-way but for a bug of its own, which its tests look for.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &Key) -> Result<Option<Found>, CacheError> {
        Ok(self.find(key).map(|json| Found { json, is_stale: false }))
    }

    async fn begin(&self, key: &Key, lease: Duration) -> Result<Begin, CacheError> {
        let now = Instant::now().into_std();
        let mut shard = self.shard(key.as_str());
        if let Some(json) = shard.get(key.as_str(), now) {
            return Ok(Begin::Found(Found { json, is_stale: false }));
        }
        let number = self.shared.leases.fetch_add(1, Ordering::Relaxed);
        Ok(match shard.lease(key, number, now + lease, now) {
            Some(until) => Begin::Wait(until.saturating_duration_since(now)),
            None => Begin::Load(Fill { lease: number, ..self.begin_unleased(key) }),
        })
    }

    async fn fill(&self, key: &Key, fill: Fill, entry: &NewEntry) -> Result<bool, CacheError> {
        Ok(self.end(key, &fill, entry))
    }

    async fn abandon(&self, key: &Key, fill: Fill) -> Result<(), CacheError> {
        self.shard(key.as_str()).release(key.as_str(), fill.lease);
        Ok(())
    }

    async fn put(&self, key: &Key, entry: &NewEntry) -> Result<(), CacheError> {
        self.set(key, entry);
        Ok(())
    }

    async fn invalidate(&self, what: &Invalidate) -> Result<u64, CacheError> {
        Ok(self.drop_entries(what))
    }

    async fn probe(&self) -> Result<(), CacheError> {
        Ok(())
    }

    fn usage(&self) -> Usage {
        self.shards().fold(Usage::default(), |usage, shard| {
            let (entries, bytes) = shard.usage();
            Usage { entries: usage.entries + entries as u64, bytes: usage.bytes + bytes as u64 }
        })
    }
}
