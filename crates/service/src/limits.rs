//! From `limits.url` to limits that replicas share.

use std::sync::Arc;

use regatta_core::ServiceName;
use regatta_resilience::rate_limit::SharedLimiter;
use regatta_traffic::clients::{Counter, OnOutage};

use crate::settings::{self, LimitsSettings, RateLimitSettings};
use crate::{Error, Result};

/// Whether the shared counts can be reached, for health; none when there are none.
type Reachable = Option<Box<dyn Fn() -> bool + Send + Sync>>;

/// Counts the requests of clients; none when they are not counted. Connects to nothing yet.
pub(crate) fn open(
    limits: &LimitsSettings,
    rate: &RateLimitSettings,
    name: &ServiceName,
) -> Result<(Option<Counter>, Reachable)> {
    let Some(mut counting) = rate.counting().map_err(Error::RateLimit)? else {
        return Ok((None, None));
    };
    let mut reachable = None;
    if let Some(url) = &limits.url {
        let on_outage = match limits.on_outage {
            settings::OnOutage::Count => OnOutage::Count,
            settings::OnOutage::Admit => OnOutage::Admit,
            settings::OnOutage::Refuse => OnOutage::Refuse,
        };
        let shared;
        (shared, reachable) = connect(url.expose(), rate, name)?;
        counting.shared = Some((shared, on_outage));
    }
    Ok((Some(Counter::try_new(&counting, None).map_err(Error::RateLimit)?), reachable))
}

#[cfg(feature = "limits-redis")]
fn connect(
    url: &str,
    rate: &RateLimitSettings,
    name: &ServiceName,
) -> Result<(Arc<dyn SharedLimiter>, Reachable)> {
    use regatta_limits_redis::{Options, Redis};

    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Limits { source };
    let redis = Redis::try_new(Options::new(url)).map_err(|error| failed(error.into()))?;
    let (settings, algorithm) = rate.rules();
    let limiter = redis.limiter(name.as_str(), &settings, algorithm);
    let limiter = limiter.map_err(|error| failed(error.into()))?;
    let reachable = move || redis.is_reachable();
    Ok((limiter, Some(Box::new(reachable))))
}

#[cfg(not(feature = "limits-redis"))]
fn connect(
    _url: &str,
    _rate: &RateLimitSettings,
    _name: &ServiceName,
) -> Result<(Arc<dyn SharedLimiter>, Reachable)> {
    let source = "shared limits are not in this build; rebuild with `--features limits-redis`";
    Err(Error::Limits { source: source.into() })
}

#[cfg(test)]
mod tests {
    use regatta_core::{Chain, Secret};
    use regatta_traffic::clients::Key;

    use super::*;

    fn opened(url: Option<&str>, requests: u32) -> Result<(Option<Counter>, Reachable)> {
        let url = url.map(Secret::new);
        let limits = LimitsSettings { url, ..LimitsSettings::default() };
        let rate = RateLimitSettings { requests, ..RateLimitSettings::default() };
        open(&limits, &rate, &"a".parse().unwrap())
    }

    #[test]
    fn clients_are_counted_here_or_there_or_not_at_all() {
        assert!(opened(Some("redis://127.0.0.1:1"), 0).unwrap().0.is_none());
        let client = Key::Named(b"a");
        let now = tokio::time::Instant::now().into_std();
        let (counter, reachable) = opened(None, 5).unwrap();
        assert!(counter.unwrap().check(&client, now).is_some() && reachable.is_none());
        let (counter, reachable) = opened(Some("redis://127.0.0.1:1"), 5).unwrap();
        assert!(counter.unwrap().check(&client, now).is_none() && reachable.unwrap()());
    }

    #[test]
    fn a_url_that_is_none_is_refused_and_not_repeated() {
        let error = opened(Some("memcached://user:secret@host"), 5).err().unwrap();
        let text = Chain(&error).to_string();
        assert!(text.contains("limits.url") && text.contains("redis://"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
