//! The backends of limits that gateways share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use regatta_gateway::{RateLimit, Route, Settings};
use regatta_limits_redis::{Options, Redis};
use regatta_resilience::rate_limit::{self, SharedLimiter};

use crate::failure::Failure;

/// The name under which the gateways of a system count all requests.
const NAME: &str = "gateway";

/// Makes the limiters of a URL, and gives the same ones again while nothing about them changes.
#[derive(Debug, Default)]
pub(super) struct Shared {
    latest: Mutex<Option<Made>>,
}

/// A server, and the limiters that count there by their names.
#[derive(Debug)]
struct Made {
    url: String,
    redis: Redis,
    limiters: BTreeMap<String, (RateLimit, Arc<dyn SharedLimiter>)>,
}

impl Shared {
    /// Gives the limit of the gateway and those of its routes their limiters at the URL; none when
    /// nothing is shared. The server may be away.
    pub(super) fn share(
        &self,
        url: Option<&str>,
        system: &str,
        settings: &mut Settings,
    ) -> Result<(), Failure> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(url) = url else {
            *latest = None;
            return Ok(());
        };
        let (redis, known) = match latest.take() {
            Some(made) if made.url == url => (made.redis, made.limiters),
            _ => {
                let options = Options::new(url).with_prefix(format!("regatta:limits:{system}"));
                (Redis::try_new(options)?, BTreeMap::new())
            }
        };
        let mut limiters = BTreeMap::new();
        let mut limiter = |name: String, limit: &RateLimit| -> Result<_, Failure> {
            let same = known.get(&name).filter(|(made_of, _)| made_of == limit);
            let limiter = match same {
                Some((_, limiter)) => Arc::clone(limiter),
                None => {
                    let settings = rate_limit::Settings::new(limit.requests.get(), limit.window);
                    redis.limiter(&name, &settings, limit.algorithm)?
                }
            };
            limiters.insert(name, (limit.clone(), Arc::clone(&limiter)));
            Ok(limiter)
        };
        if let Some(limit) = &settings.rate_limit {
            settings.shared_limit = Some(limiter(NAME.to_owned(), limit)?);
        }
        for route in &mut settings.routes {
            if let Some(limit) = &route.rate_limit {
                route.shared_limit = Some(limiter(name(route), limit)?);
            }
        }
        *latest = Some(Made { url: url.to_owned(), redis, limiters });
        Ok(())
    }
}

/// The name under which the gateways of a system count the requests to a route: the route itself,
/// so that an order of routes that changes changes no counts.
fn name(route: &Route) -> String {
    format!("{NAME}:{}:{}", route.methods.join(","), route.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(path: &str) -> Route {
        let mut route = Route::new(path);
        route.rate_limit = Some(RateLimit::default());
        route
    }

    #[test]
    fn a_limit_that_stays_the_same_keeps_its_connection() {
        let shared = Shared::default();
        let shared_at = |url: Option<&str>, mut settings: Settings| {
            shared.share(url, "shop", &mut settings).unwrap();
            settings
        };
        let here = Some("redis://127.0.0.1:1");
        let limiter = |settings: &Settings| settings.shared_limit.clone().unwrap();
        let first = limiter(&shared_at(here, Settings::default()));
        let second = limiter(&shared_at(here, Settings::default()));
        assert!(Arc::ptr_eq(&first, &second));
        let other = limiter(&shared_at(Some("redis://127.0.0.1:2"), Settings::default()));
        assert!(!Arc::ptr_eq(&first, &other));
        let mut unlimited = Settings::default();
        unlimited.rate_limit = None;
        assert!(shared_at(here, unlimited).shared_limit.is_none());
        assert!(shared_at(None, Settings::default()).shared_limit.is_none());
    }

    #[test]
    fn each_route_counts_by_itself_whatever_the_order() {
        let shared = Shared::default();
        let of = |routes: Vec<Route>| {
            let mut settings = Settings::default();
            settings.routes = routes;
            shared.share(Some("redis://127.0.0.1:1"), "shop", &mut settings).unwrap();
            settings.routes.iter().map(|route| route.shared_limit.clone()).collect::<Vec<_>>()
        };
        let mut posts = limited("/a/x");
        posts.methods = vec!["POST".to_owned()];
        let first = of(vec![limited("/a/x"), posts.clone(), Route::new("/a/y")]);
        let second = of(vec![posts, limited("/a/x")]);
        let limiter = |limit: &Option<Arc<dyn SharedLimiter>>| limit.clone().unwrap();
        assert!(Arc::ptr_eq(&limiter(&first[0]), &limiter(&second[1])));
        assert!(Arc::ptr_eq(&limiter(&first[1]), &limiter(&second[0])));
        assert!(!Arc::ptr_eq(&limiter(&first[0]), &limiter(&first[1])));
        assert!(first[2].is_none());
    }
}
