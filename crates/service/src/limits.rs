//! From `limits.url` to limits that replicas share.

use regatta_core::ServiceName;
use regatta_resilience::rate_limit::{Limiter, OnOutage, Steadfast};

use crate::settings::{self, LimitsSettings, RateLimitSettings};
use crate::{Error, Result};

/// How the requests of clients are counted.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    pub(crate) local: Limiter,
    /// In place of `local`, which then only fills in.
    pub(crate) shared: Option<Steadfast>,
}

/// Whether the shared counts can be reached, for health; none when there are none.
pub(crate) type Reachable = Option<Box<dyn Fn() -> bool + Send + Sync>>;

/// How the requests of clients are counted; none when they are not. Connects to nothing yet.
pub(crate) fn open(
    limits: &LimitsSettings,
    rate: &RateLimitSettings,
    name: &ServiceName,
) -> Result<(Option<Rate>, Reachable)> {
    let Some(local) = rate.limiter().map_err(Error::RateLimit)? else { return Ok((None, None)) };
    let Some(url) = &limits.url else { return Ok((Some(Rate { local, shared: None }), None)) };
    let on_outage = match limits.on_outage {
        settings::OnOutage::Count => OnOutage::Count(local.clone()),
        settings::OnOutage::Admit => OnOutage::Admit,
        settings::OnOutage::Refuse => OnOutage::Refuse,
    };
    let (shared, reachable) = connect(url.expose(), rate, name, on_outage)?;
    Ok((Some(Rate { local, shared: Some(shared) }), reachable))
}

#[cfg(feature = "limits-redis")]
fn connect(
    url: &str,
    rate: &RateLimitSettings,
    name: &ServiceName,
    on_outage: OnOutage,
) -> Result<(Steadfast, Reachable)> {
    use regatta_limits_redis::{Options, Redis};

    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Limits { source };
    let redis = Redis::try_new(Options::new(url)).map_err(|error| failed(error.into()))?;
    let (settings, algorithm) = rate.rules();
    let limiter = redis.limiter(name.as_str(), &settings, algorithm);
    let limiter = limiter.map_err(|error| failed(error.into()))?;
    let reachable = move || redis.is_reachable();
    Ok((Steadfast::new(limiter, on_outage), Some(Box::new(reachable))))
}

#[cfg(not(feature = "limits-redis"))]
fn connect(
    _url: &str,
    _rate: &RateLimitSettings,
    _name: &ServiceName,
    _on_outage: OnOutage,
) -> Result<(Steadfast, Reachable)> {
    let source = "shared limits are not in this build; rebuild with `--features limits-redis`";
    Err(Error::Limits { source: source.into() })
}

#[cfg(test)]
mod tests {
    use regatta_core::{Chain, Secret};

    use super::*;

    fn opened(url: Option<&str>, requests: u32) -> Result<(Option<Rate>, Reachable)> {
        let url = url.map(Secret::new);
        let limits = LimitsSettings { url, ..LimitsSettings::default() };
        let rate = RateLimitSettings { requests, ..RateLimitSettings::default() };
        open(&limits, &rate, &"a".parse().unwrap())
    }

    #[test]
    fn clients_are_counted_here_or_there_or_not_at_all() {
        assert!(opened(Some("redis://127.0.0.1:1"), 0).unwrap().0.is_none());
        let (rate, reachable) = opened(None, 5).unwrap();
        assert!(rate.unwrap().shared.is_none() && reachable.is_none());
        let (rate, reachable) = opened(Some("redis://127.0.0.1:1"), 5).unwrap();
        assert!(rate.unwrap().shared.is_some() && reachable.unwrap()());
    }

    #[test]
    fn a_url_that_is_none_is_refused_and_not_repeated() {
        let error = opened(Some("memcached://user:secret@host"), 5).err().unwrap();
        let text = Chain(&error).to_string();
        assert!(text.contains("limits.url") && text.contains("redis://"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
