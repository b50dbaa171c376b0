//! A write, and what it makes old.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::aside::Shared;
use crate::{InvalidKey, Invalidate, Key, Pattern, Tag};

/// How long a write that was given up may still be on its way to the store: a statement that was sent
/// is carried out though nobody waits for its answer.
const LATE: Duration = Duration::from_secs(2);

/// What a write makes old, which is dropped from the cache when the write is [`done`](Write::done) -
/// or given up: a handler that is dropped at its deadline may have written.
///
/// Begin it before the write. Dropped without [`done`](Write::done), it has the cache told in the
/// background, at once and again two seconds later; at the end of the runtime it is not told.
///
/// ```
/// # use regatta_cache::CacheAside;
/// # async fn rename(cache: &CacheAside, store: impl Future<Output = ()>) {
/// let write = cache.write().key("user:42").tag("user:list");
/// store.await;
/// write.done().await;
/// # }
/// ```
#[must_use = "what is written makes something old only once this is done or dropped"]
pub struct Write {
    shared: Arc<Shared>,
    old: Vec<Invalidate>,
}

impl Write {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, old: Vec::new() }
    }

    /// The entry of this key becomes old.
    pub fn key(self, key: impl AsRef<str>) -> Self {
        self.and(Key::try_new(key).map(|key| Invalidate::Keys(vec![key])))
    }

    /// The entries that carry this tag become old.
    pub fn tag(self, tag: impl AsRef<str>) -> Self {
        self.and(Tag::try_new(tag).map(Invalidate::Tag))
    }

    /// The entries whose key this pattern fits become old.
    pub fn pattern(self, pattern: impl AsRef<str>) -> Self {
        self.and(Pattern::try_new(pattern).map(Invalidate::Pattern))
    }

    fn and(mut self, what: Result<Invalidate, InvalidKey>) -> Self {
        match what {
            Ok(what) => self.old.push(what),
            Err(error) => tracing::warn!(%error, "nothing is invalidated"),
        }
        self
    }

    /// Drops what became old, after the write, whether it succeeded or may have. Who asks this
    /// process after it returns gets what was written.
    ///
    /// Answers false when the cache could not be told of all. It is told as soon as it is there
    /// again; until then this process asks it nothing, while others may serve what was there.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, the rest goes on in the background.
    pub async fn done(mut self) -> bool {
        let mut is_told = true;
        for what in &self.old {
            is_told &= self.shared.drop_entries(what).await;
        }
        self.old.clear();
        is_told
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if self.old.is_empty() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let (shared, old) = (self.shared.clone(), std::mem::take(&mut self.old));
        let tell = async move {
            for round in 0..2 {
                if round > 0 {
                    tokio::time::sleep(LATE).await;
                }
                for what in &old {
                    shared.drop_entries(what).await;
                }
            }
        };
        self.shared.tasks.spawn_on(tell, &runtime);
    }
}
