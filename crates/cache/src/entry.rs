//! One entry: found, or loaded by one of those who ask and kept.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::aside::Shared;
use crate::flight::{Leader, Role};
use crate::metrics::Outcome;
use crate::policy::is_ttl;
use crate::{Begin, Fill, InvalidKey, Key, NewEntry, Tag};

/// How often one who waits for another process asks again: a few times a good query's time.
const POLL: Duration = Duration::from_millis(10);

/// The entry of one key, and how it is kept.
#[must_use = "it does nothing until it is got, loaded or put"]
pub struct Entry<'a> {
    shared: &'a std::sync::Arc<Shared>,
    key: Result<Key, InvalidKey>,
    ttl: Duration,
    negative_ttl: Duration,
    tags: Vec<Tag>,
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A fill that was begun; dropped without an end it is given back.
struct Begun<'a> {
    shared: &'a std::sync::Arc<Shared>,
    key: &'a Key,
    fill: Option<Fill>,
}

impl<'a> Entry<'a> {
    pub(crate) fn new(shared: &'a std::sync::Arc<Shared>, key: Result<Key, InvalidKey>) -> Self {
        let (ttl, negative_ttl) = (shared.policy.ttl, shared.policy.negative_ttl);
        Self { shared, key, ttl, negative_ttl, tags: Vec::new() }
    }

    /// Keeps it for this long, less the jitter. Default: the policy's; 1 ms to 30 days, else the
    /// default.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        if is_ttl(ttl) {
            self.ttl = ttl;
        }
        self
    }

    /// Remembers for this long that there is nothing. Default: the policy's; 1 ms to 30 days, else
    /// the default.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        if is_ttl(ttl) {
            self.negative_ttl = ttl;
        }
        self
    }

    /// Marks it, so that [`crate::CacheAside::invalidate_tag`] drops it. A text that is no tag
    /// keeps it from being kept, and is logged.
    pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
        match Tag::try_new(tag) {
            Ok(tag) => self.tags.push(tag),
            Err(error) => self.key = Err(error),
        }
        self
    }

    /// What the cache has; none also when it could not be asked.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn get<T: DeserializeOwned>(self) -> Option<T> {
        let key = self.key()?;
        self.look(key).await.ok()?
    }

    /// What the cache has, else what `load` answers, which then is kept. Of those who ask at once
    /// one loads, in this process and, while its lease lasts, in all.
    ///
    /// # Errors
    ///
    /// That of `load`; nothing is kept then, and another one who waits loads.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `load`; another one who waits loads then.
    pub async fn get_or_load<T, E, F>(self, load: impl FnOnce() -> F) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, E>>,
    {
        self.obtain(|_| false, load).await
    }

    /// [`Entry::get_or_load`] for what may not be there: that there is nothing is remembered too,
    /// for the shorter negative time.
    ///
    /// # Errors
    ///
    /// That of `find`.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `find`.
    pub async fn get_or_find<T, E, F>(self, find: impl FnOnce() -> F) -> Result<Option<T>, E>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<Option<T>, E>>,
    {
        self.obtain(Option::is_none, find).await
    }

    /// Keeps a value whatever was there; false when it could not be kept. Two who put at once leave
    /// one of theirs, not necessarily the later: after a write, invalidate instead.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have kept the value.
    pub async fn put<T: Serialize>(self, value: &T) -> bool {
        let Some(key) = self.key() else { return false };
        let Some(entry) = self.encode(value, self.ttl) else { return false };
        if !self.is_small_enough(&entry) {
            return false;
        }
        self.shared.heard(self.shared.backend.put(key, &entry).await).is_some()
    }

    fn key(&self) -> Option<&Key> {
        self.key
            .as_ref()
            .inspect_err(|error| tracing::warn!(%error, "this is not kept in the cache"))
            .ok()
    }

    /// Asks the cache; an error when it could not be asked.
    async fn look<W: DeserializeOwned>(&self, key: &Key) -> Result<Option<W>, ()> {
        let metrics = &self.shared.metrics;
        let answer = self.shared.backend.get(key).await;
        let Some(found) = self.shared.heard(answer) else {
            metrics.asked(Outcome::Unavailable);
            return Err(());
        };
        let Some(found) = found else {
            metrics.asked(Outcome::Miss);
            return Ok(None);
        };
        let value = decode(&found.json);
        metrics.asked(match (&value, found.is_stale) {
            (None, _) => Outcome::Miss,
            (Some(_), true) => Outcome::Stale,
            (Some(_), false) => Outcome::Hit,
        });
        if value.is_none() {
            // Another version of the program has written it, or another program.
            let what = crate::Invalidate::Keys(vec![key.clone()]);
            self.shared.heard(self.shared.backend.invalidate(&what).await);
        }
        Ok(value)
    }

    async fn obtain<W, E, F>(
        self,
        is_negative: fn(&W) -> bool,
        load: impl FnOnce() -> F,
    ) -> Result<W, E>
    where
        W: Serialize + DeserializeOwned,
        F: Future<Output = Result<W, E>>,
    {
        let Some(key) = self.key() else {
            self.shared.metrics.asked(Outcome::Unavailable);
            return load().await;
        };
        let is_there = match self.look(key).await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => true,
            Err(()) => false,
        };
        let deadline = Instant::now() + self.shared.policy.wait;
        loop {
            match self.shared.flights.join(key) {
                Role::Lead(leader) => {
                    let begun = match is_there {
                        true => self.begin(key, deadline).await,
                        false => Beginning::Alone,
                    };
                    return self.lead(key, leader, begun, is_negative, load).await;
                }
                Role::Follow(follower) => match timeout_at(deadline, follower.landed()).await {
                    Ok(Some(json)) => match decode(&json) {
                        Some(value) => return Ok(value),
                        None => break,
                    },
                    // The leader has failed or gone: the next one leads.
                    Ok(None) => continue,
                    Err(_elapsed) => break,
                },
            }
        }
        self.load(load).await
    }

    async fn lead<W, E, F>(
        &self,
        key: &Key,
        leader: Leader<'_>,
        begun: Beginning<'_>,
        is_negative: fn(&W) -> bool,
        load: impl FnOnce() -> F,
    ) -> Result<W, E>
    where
        W: Serialize + DeserializeOwned,
        F: Future<Output = Result<W, E>>,
    {
        let mut begun = match begun {
            Beginning::Found(json) => match decode(&json) {
                Some(value) => {
                    leader.land(json);
                    return Ok(value);
                }
                None => None,
            },
            Beginning::Begun(begun) => Some(begun),
            Beginning::Alone => None,
        };
        let value = self.load(load).await?;
        let ttl = if is_negative(&value) { self.negative_ttl } else { self.ttl };
        let Some(entry) = self.encode(&value, ttl) else { return Ok(value) };
        let begun = begun.as_mut().filter(|_| self.is_small_enough(&entry));
        if let Some(fill) = begun.and_then(|begun| begun.fill.take()) {
            let kept = self.shared.backend.fill(key, fill, &entry).await;
            if self.shared.heard(kept) == Some(false) {
                self.shared.metrics.dropped();
            }
        }
        // Those who wait have a value that is too large, too: else they would load it one by one.
        leader.land(entry.json);
        Ok(value)
    }

    async fn load<W, E, F>(&self, load: impl FnOnce() -> F) -> Result<W, E>
    where
        F: Future<Output = Result<W, E>>,
    {
        let loaded = load().await;
        self.shared.metrics.loaded(loaded.is_ok());
        loaded
    }

    /// Begins a fill, or waits until another process has ended its own.
    async fn begin<'k>(&self, key: &'k Key, deadline: Instant) -> Beginning<'k>
    where
        'a: 'k,
    {
        loop {
            let begin = self.shared.backend.begin(key, self.shared.policy.lease).await;
            match self.shared.heard(begin) {
                Some(Begin::Found(found)) => return Beginning::Found(found.json),
                Some(Begin::Load(fill)) => {
                    return Beginning::Begun(Begun { shared: self.shared, key, fill: Some(fill) });
                }
                Some(Begin::Wait(longest)) if Instant::now() < deadline => {
                    let pause = longest.clamp(Duration::from_millis(1), POLL);
                    tokio::time::sleep_until((Instant::now() + pause).min(deadline)).await;
                }
                Some(Begin::Wait(_)) | None => return Beginning::Alone,
            }
        }
    }

    fn is_small_enough(&self, entry: &NewEntry) -> bool {
        let bytes = entry.json.len();
        let is_small = bytes <= self.shared.policy.largest;
        if !is_small {
            tracing::debug!(bytes, "a value is too large to be kept");
        }
        is_small
    }

    /// The entry to keep; none when it cannot be JSON.
    fn encode<W: Serialize>(&self, value: &W, ttl: Duration) -> Option<NewEntry> {
        let policy = &self.shared.policy;
        let json = match serde_json::to_vec(value) {
            Ok(json) => Bytes::from(json),
            Err(error) => {
                tracing::warn!(%error, "a value cannot be kept as JSON");
                return None;
            }
        };
        let ttl = policy.jittered(ttl, rand::random());
        Some(NewEntry { json, ttl, tags: self.tags.clone() })
    }
}

/// How a leader begins.
enum Beginning<'a> {
    Found(Bytes),
    Begun(Begun<'a>),
    /// Without the cache.
    Alone,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let Some(fill) = self.fill.take() else { return };
        // At the end of the runtime the lease ends by itself.
        let Ok(runtime) = Handle::try_current() else { return };
        let (shared, key) = (self.shared.clone(), self.key.clone());
        let abandon = async move {
            shared.heard(shared.backend.abandon(&key, fill).await);
        };
        self.shared.tasks.spawn_on(abandon, &runtime);
    }
}

fn decode<W: DeserializeOwned>(json: &[u8]) -> Option<W> {
    serde_json::from_slice(json).ok()
}
