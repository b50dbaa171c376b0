//! The port of caches.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Key, Pattern, Tag};

/// Keeps JSON texts under keys for a while.
///
/// Implementations must pass every check in `conformance`.
///
/// - **Fills are versioned.** Who misses begins a fill *before* it loads; a fill that began before
///   an invalidation of its key, in whatever process, is dropped, so a value from before a write is
///   never put back after it.
///   A fill that takes longer than [`Fill::LONGEST`] may be dropped as well.
/// - **One loads.** Of those who begin within the lease of another one's fill, each is told to wait.
/// - **Bounded.** A backend may drop any entry at any time to stay within its memory.
#[async_trait]
pub trait Cache: fmt::Debug + Send + Sync + 'static {
    /// Finds an entry; none when there is none, or it is past its time.
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache does not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn get(&self, key: &Key) -> Result<Option<Found>, CacheError>;

    /// Begins a fill, to be called before what is to be kept is loaded.
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache does not answer; load without it then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: others may be told to wait until the lease is over.
    async fn begin(&self, key: &Key, lease: Duration) -> Result<Begin, CacheError>;

    /// Ends a fill with what was loaded; false when it was dropped, because the key was invalidated
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache does not answer; it may have kept the entry.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have kept the entry.
    async fn fill(&self, key: &Key, fill: Fill, entry: &NewEntry) -> Result<bool, CacheError>;

    /// Ends a fill without anything to keep, so that another one loads at once.
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache does not answer; the lease ends by itself then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: at worst the lease ends by itself.
    async fn abandon(&self, key: &Key, fill: Fill) -> Result<(), CacheError>;

    /// Keeps an entry whatever was there, and drops every fill of the key that is under way.
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache does not answer; it may have kept the entry.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have kept the entry.
    async fn put(&self, key: &Key, entry: &NewEntry) -> Result<(), CacheError>;

    /// Drops entries, and every fill under way that could put one back; answers how many entries
    /// went.
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache does not answer. The backend then owes the invalidation: it
    /// serves nothing that it covers, and makes up for it as soon as the cache answers.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have dropped entries.
    async fn invalidate(&self, what: &Invalidate) -> Result<u64, CacheError>;

    /// Asks whether the cache serves.
    ///
    /// # Errors
    ///
    /// [`CacheError`] with the reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    async fn probe(&self) -> Result<(), CacheError>;

    /// What the backend holds within this process.
    fn usage(&self) -> Usage;
}

/// An entry that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its JSON text.
    pub json: Bytes,
    /// Whether it may be out of date, because the cache could not be asked.
    pub is_stale: bool,
}

/// What one who misses is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Another one was faster; here it is.
    Found(Found),
    /// Load, then end the fill.
    Load(Fill),
    /// Another one loads; ask again, at the latest after this time.
    Wait(Duration),
}

/// A fill that has begun: what the key and the cache were at when it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Which invalidation of the key was the last; 0 for none that is known.
    pub version: u64,
    /// Which invalidation by tag or pattern was the last.
    pub epoch: u64,
    /// Whose lease it is.
    pub lease: u64,
    /// When it began, in milliseconds of the backend's own clock; 0 where that is of no use.
    pub begun_at: u64,
}

impl Fill {
    /// How long a backend remembers invalidations for fills that are under way: 5 min, past any
    /// deadline of a request.
    pub const LONGEST: Duration = Duration::from_secs(300);
}

/// An entry to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Its JSON text.
    pub json: Bytes,
    /// For how long.
    pub ttl: Duration,
    /// What it is marked with.
    pub tags: Vec<Tag>,
}

/// Which entries to drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidate {
    /// Those of these keys.
    Keys(Vec<Key>),
    /// Those that carry this tag.
    Tag(Tag),
    /// Those whose key this pattern fits.
    Pattern(Pattern),
}

/// What a backend holds within this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries.
    pub entries: u64,
    /// Their size, with an estimate of what managing them takes.
    pub bytes: u64,
}

/// The cache could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// It does not answer, or not in time.
    #[error("the cache does not answer; see that it runs and that `cache.url` is right")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// It was away during an invalidation that is still to be made up for.
    #[error("the cache was away during an invalidation; it is asked again once that is done")]
    Owes,
    /// More calls wait for it than may.
    #[error("`{waiting}` calls wait for the cache, which is all that may; raise its `in_flight`")]
    Busy {
        /// How many.
        waiting: usize,
    },
}
