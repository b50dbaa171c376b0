//! Whether settings can be.

use std::collections::HashSet;

use regatta_core::Chain;
use regatta_resilience::rate_limit::{self, Algorithm};
use regatta_resilience::retry::{Backoff, Budget};

use super::{Access, LimitKey, RateLimit, Route, Settings, Traffic};
use crate::InvalidSettings;

impl Settings {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first one that cannot be.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        self.validate_services()?;
        validate_traffic("traffic", &self.traffic)?;
        for service in &self.services {
            if let Some(traffic) = &service.traffic {
                validate_traffic(service.name.as_str(), traffic)?;
            }
        }
        for route in &self.routes {
            self.validate_route(route)?;
        }
        let limits = [
            ("limits.connections", self.limits.connections as u64, 1, 1_000_000),
            ("limits.header_bytes", self.limits.header_bytes as u64, 1024, 1024 * 1024),
            ("limits.headers", self.limits.headers as u64, 8, 128),
            ("limits.target_bytes", self.limits.target_bytes as u64, 64, 1024 * 1024),
            ("limits.idle_upstream", self.limits.idle_upstream as u64, 1, 100_000),
            ("limits.http2_streams", self.limits.http2_streams.into(), 1, 100_000),
        ];
        for (setting, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                return Err(InvalidSettings::OutOfRange { setting, value, least, most });
            }
        }
        let timeouts = &self.timeouts;
        for (setting, value) in [
            ("timeouts.header_read", timeouts.header_read),
            ("timeouts.body_idle", timeouts.body_idle),
            ("timeouts.idle", timeouts.idle),
            ("timeouts.upstream_idle", timeouts.upstream_idle),
            ("timeouts.connect", timeouts.connect),
            ("timeouts.request", timeouts.request),
            ("timeouts.tunnel_idle", timeouts.tunnel_idle),
        ] {
            if value.is_zero() {
                return Err(InvalidSettings::ZeroTime { setting });
            }
        }
        self.rate_limit.iter().try_for_each(|limit| self.validate_limit(limit))
    }

    fn validate_limit(&self, limit: &RateLimit) -> Result<(), InvalidSettings> {
        if limit.window.is_zero() {
            return Err(InvalidSettings::ZeroTime { setting: "rate_limit.window" });
        }
        if let LimitKey::Header(name) = &limit.key
            && name.parse::<http::HeaderName>().is_err()
        {
            return Err(InvalidSettings::BadRateLimit {
                reason: format!("`{name}` is not the name of a header; use one such as x-tenant"),
            });
        }
        if self.auth.is_none() && limit.key == LimitKey::User {
            return Err(InvalidSettings::NoUsers);
        }
        if let Algorithm::Gcra { burst } = limit.algorithm {
            let settings = rate_limit::Settings::new(limit.requests.get(), limit.window);
            settings
                .validate_pace(burst)
                .map_err(|error| InvalidSettings::BadRateLimit { reason: error.to_string() })?;
        }
        Ok(())
    }

    fn validate_services(&self) -> Result<(), InvalidSettings> {
        let (mut names, mut grpc) = (HashSet::new(), HashSet::new());
        for service in &self.services {
            if service.name.as_str() == "health" {
                return Err(InvalidSettings::ReservedService { name: service.name.to_string() });
            }
            if !names.insert(&service.name) {
                return Err(InvalidSettings::TwiceTheService { name: service.name.to_string() });
            }
            for name in &service.grpc {
                if !grpc.insert(name) {
                    return Err(InvalidSettings::TwiceTheGrpcService { name: name.clone() });
                }
            }
            let weights = service.versions.iter().map(|(_, weight)| u64::from(*weight));
            if !service.versions.is_empty() && weights.sum::<u64>() == 0 {
                return Err(InvalidSettings::NoWeight { name: service.name.to_string() });
            }
        }
        Ok(())
    }

    fn validate_route(&self, route: &Route) -> Result<(), InvalidSettings> {
        let path = route.path.clone();
        if self.auth.is_none() && route.access == Access::Required {
            return Err(InvalidSettings::NoAuth { path });
        }
        if !route.roles.is_empty() && route.access != Access::Required {
            return Err(InvalidSettings::RolesWithoutToken { path });
        }
        for method in &route.methods {
            if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
                return Err(InvalidSettings::BadMethod { path, method: method.clone() });
            }
        }
        let Some(limit) = &route.rate_limit else { return Ok(()) };
        self.validate_limit(limit)
            .map_err(|error| InvalidSettings::BadRouteLimit { path, reason: error.to_string() })
    }
}

fn validate_traffic(of: &str, traffic: &Traffic) -> Result<(), InvalidSettings> {
    let bad = |reason: String| InvalidSettings::BadTraffic { of: of.to_owned(), reason };
    traffic.cluster.validate().map_err(|error| bad(Chain(&error).to_string()))?;
    if let Some(concurrency) = &traffic.concurrency {
        concurrency.validate().map_err(|error| bad(error.to_string()))?;
    }
    if let Some(hedge) = &traffic.hedge {
        hedge.validate().map_err(|error| bad(format!("hedge: {error}")))?;
    }
    let retry = &traffic.retry;
    if retry.retries > 3 {
        return Err(bad(format!("retries is `{}`; use 0 to 3", retry.retries)));
    }
    if retry.try_timeout.is_some_and(|time| time.is_zero()) {
        return Err(bad("try_timeout is 0; set it to 1 ms or more".into()));
    }
    Backoff::try_new(retry.backoff, retry.most_backoff).map_err(|error| bad(error.to_string()))?;
    Budget::try_new(retry.budget_percent, retry.budget_floor)
        .map_err(|error| bad(error.to_string()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use regatta_core::Secret;

    use super::*;
    use crate::{Auth, Service};

    #[test]
    fn the_defaults_are_valid() {
        Settings::default().validate().unwrap();
    }

    #[test]
    fn a_rule_that_needs_tokens_needs_a_key() {
        let routes = vec![Route::new("/a/**")];
        let mut settings = Settings { routes, ..Settings::default() };
        assert!(matches!(settings.validate(), Err(InvalidSettings::NoAuth { .. })));
        settings.auth = Some(Auth::new(Secret::new("x".repeat(32))));
        settings.validate().unwrap();
    }

    #[test]
    fn roles_without_a_token_would_protect_nothing() {
        let mut route = Route::new("/a/**");
        (route.access, route.roles) = (Access::Optional, vec!["admin".into()]);
        let settings = Settings { routes: vec![route], ..Settings::default() };
        assert!(matches!(settings.validate(), Err(InvalidSettings::RolesWithoutToken { .. })));
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        let mut settings = Settings::default();
        settings.limits.headers = 500;
        let error = settings.validate().unwrap_err().to_string();
        assert_eq!(error, "limits.headers is `500`; use 8 to 128");
        settings.limits.headers = 100;
        settings.timeouts.connect = Duration::ZERO;
        let error = settings.validate().unwrap_err().to_string();
        assert_eq!(error, "timeouts.connect is 0; set it to 1 ms or more");
    }

    #[test]
    fn a_rule_of_traffic_out_of_range_is_named() {
        let mut settings = Settings::default();
        let hedge = regatta_resilience::hedge::Settings::default();
        settings.traffic.hedge = Some(hedge.with_percentile(7));
        let error = settings.validate().unwrap_err().to_string();
        assert!(error.contains("hedge: percentile is `7`"), "{error}");
        settings.traffic.hedge = None;
        settings.traffic.retry.try_timeout = Some(Duration::ZERO);
        let error = settings.validate().unwrap_err().to_string();
        assert!(error.contains("try_timeout is 0"), "{error}");
    }

    #[test]
    fn a_limit_that_cannot_count_is_named_with_its_route() {
        let error = |change: fn(&mut RateLimit)| {
            let (mut route, mut limit) = (Route::new("/a/**"), RateLimit::default());
            change(&mut limit);
            (route.access, route.rate_limit) = (Access::None, Some(limit));
            let settings = Settings { routes: vec![route], ..Settings::default() };
            settings.validate().unwrap_err().to_string()
        };
        let paced = |limit: &mut RateLimit| limit.algorithm = Algorithm::Gcra { burst: 60 };
        assert!(error(paced).starts_with("the limit of route `/a/**` cannot be: "));
        assert!(error(|limit| limit.key = LimitKey::User).contains("no token is verified"));
        assert!(error(|limit| limit.window = Duration::ZERO).contains("window is 0"));
        let header = |limit: &mut RateLimit| limit.key = LimitKey::Header("x y".into());
        assert!(error(header).contains("`x y` is not the name of a header"));
    }

    #[test]
    fn names_are_unique_and_not_reserved() {
        let service = |name: &str| Service::new(name.parse().unwrap());
        let services = vec![service("a"), service("a")];
        let mut settings = Settings { services, ..Settings::default() };
        assert!(matches!(settings.validate(), Err(InvalidSettings::TwiceTheService { .. })));
        settings.services = vec![service("health")];
        assert!(matches!(settings.validate(), Err(InvalidSettings::ReservedService { .. })));
        let mut canary = service("a");
        canary.versions = vec![("v1".into(), 0)];
        settings.services = vec![canary];
        assert!(matches!(settings.validate(), Err(InvalidSettings::NoWeight { .. })));
    }
}
