//! The backend of a limit that gateways share.

use std::sync::{Arc, Mutex, PoisonError};

use regatta_gateway::RateLimit;
use regatta_limits_redis::{Options, Redis};
use regatta_resilience::rate_limit::{self, SharedLimiter};

use crate::failure::Failure;

/// The name under which the gateways of a system count.
const NAME: &str = "gateway";

/// Makes the limiter of a URL, and gives the same one again while nothing about it changes.
#[derive(Debug, Default)]
pub(super) struct Shared {
    latest: Mutex<Option<Made>>,
}

/// A limiter and what it was made of.
#[derive(Debug)]
struct Made {
    url: String,
    limit: RateLimit,
    limiter: Arc<dyn SharedLimiter>,
}

impl Shared {
    /// The limiter at the URL for this limit; none when nothing is limited or shared. The server
    /// may be away.
    pub(super) fn limiter(
        &self,
        url: Option<&str>,
        limit: Option<RateLimit>,
        system: &str,
    ) -> Result<Option<Arc<dyn SharedLimiter>>, Failure> {
        let (Some(url), Some(limit)) = (url, limit) else { return Ok(None) };
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = latest.as_ref().filter(|made| made.url == url && made.limit == limit) {
            return Ok(Some(Arc::clone(&made.limiter)));
        }
        let options = Options::new(url).with_prefix(format!("regatta:limits:{system}"));
        let settings = rate_limit::Settings::new(limit.requests.get(), limit.window);
        let limiter = Redis::try_new(options)?.limiter(NAME, &settings, limit.algorithm)?;
        let url = url.to_owned();
        *latest = Some(Made { url, limit, limiter: Arc::clone(&limiter) });
        Ok(Some(limiter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_stays_the_same_keeps_its_connection() {
        let shared = Shared::default();
        let limiter = |url: &str, limit| shared.limiter(Some(url), limit, "shop").unwrap();
        let limit = Some(RateLimit::default());
        let first = limiter("redis://127.0.0.1:1", limit).unwrap();
        let second = limiter("redis://127.0.0.1:1", limit).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        let other = limiter("redis://127.0.0.1:2", limit).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        assert!(limiter("redis://127.0.0.1:1", None).is_none());
        assert!(shared.limiter(None, limit, "shop").unwrap().is_none());
    }
}
