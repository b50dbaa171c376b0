//! From `cache.url` to a cache.

use std::sync::{Arc, PoisonError};

use regatta_cache::{Cache, CacheAside, MemoryCache, Policy};
use regatta_cache_redis::{Options, RedisCache};
use regatta_core::Secret;

use crate::health::Dependency;
use crate::{Error, Result, Service};

impl Service {
    /// The service's cache, by `cache.url`, else `redis.url` (`REDIS_URL`), else in memory; the same
    /// one at each call. Connects to nothing yet. The service can do without it: while it is away,
    /// `/health` says so under `cache`, and requests are slower and do not fail.
    ///
    /// # Errors
    ///
    /// [`Error::Cache`] when a setting is wrong.
    pub fn cache(&self) -> Result<CacheAside> {
        // What is in there is whole: it is put there at once.
        let mut opened = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = &*opened {
            return Ok(cache.clone());
        }
        let cache = self.open_cache().map_err(|error| self.refuse(Error::Cache(error)))?;
        let probed = cache.clone();
        self.depend(Dependency::new("cache", false, move || {
            let cache = probed.clone();
            async move { cache.probe().await.map_err(|error| regatta_core::Chain(&error).to_string()) }
        }));
        *opened = Some(cache.clone());
        Ok(cache)
    }

    fn open_cache(
        &self,
    ) -> std::result::Result<CacheAside, Box<dyn std::error::Error + Send + Sync>> {
        let settings = &self.settings.cache;
        let mut policy = Policy::default();
        policy.ttl = settings.ttl;
        policy.negative_ttl = settings.negative_ttl;
        policy.jitter = settings.jitter;
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let url = self.cache_url();
        let url = url.expose();
        let backend: Arc<dyn Cache> = if url == "memory:" {
            policy.longest_ttl = settings.memory_ttl;
            Arc::new(MemoryCache::with_capacity(bytes(settings.memory_bytes)))
        } else if ["redis:", "rediss:"].iter().any(|scheme| url.starts_with(scheme)) {
            let prefix = settings.prefix.as_deref().unwrap_or(self.name.as_str());
            let options = Options::new(url)
                .with_prefix(prefix)
                .with_timeout(settings.timeout)
                .with_near_ttl(settings.near_ttl)
                .with_near_bytes(bytes(settings.near_bytes));
            Arc::new(RedisCache::try_new(options)?)
        } else {
            return Err("the URL names no cache; write memory:, redis://host:port or \
                        rediss://host:port"
                .into());
        };
        Ok(CacheAside::try_new(backend, policy, &self.telemetry)?)
    }

    fn cache_url(&self) -> Secret {
        if let Some(url) = &self.settings.cache.url {
            return url.clone();
        }
        let keys = ["redis.url", "redis.host", "redis.port"];
        let is_set = self.settings.redis.url.is_some()
            || keys.iter().any(|key| self.source.config.origin(key).is_some());
        if is_set { self.settings.redis.to_url() } else { Secret::new("memory:") }
    }
}
