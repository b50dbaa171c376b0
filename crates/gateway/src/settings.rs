//! What an operator sets, with its defaults and its checks.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use regatta_core::{Secret, ServiceName};
use regatta_telemetry::Telemetry;

use crate::InvalidSettings;
use crate::network::Network;

/// What the gateway listens on, which services it offers, and under which rules.
///
/// Start from `Settings::default()` and set what differs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where clients connect. Default `127.0.0.1:8080`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where metrics and health are served to operators. Default `127.0.0.1:9901`; none for no
    /// such listener; port 0 takes a free one.
    pub admin: Option<SocketAddr>,
    /// Threads, each with its own runtime and connection pools. Default one per core.
    pub workers: Option<NonZeroUsize>,
    /// The services offered under `/{name}`. Others are answered with 404.
    pub services: Vec<Service>,
    /// Rules on paths, first match wins. A path that none matches falls under `default_access`.
    pub routes: Vec<Route>,
    /// What a path without a rule asks of its caller. Default [`Access::Optional`].
    pub default_access: Access,
    /// How tokens are verified; none when the gateway verifies none.
    pub auth: Option<Auth>,
    /// Requests a client may send in a window; none for no limit. Default 60 in 60 s.
    pub rate_limit: Option<RateLimit>,
    /// Hops whose `Forwarded` and `X-Forwarded-*` are believed and extended. Default none: what a
    /// client says about itself is dropped.
    pub trusted_hops: Vec<Network>,
    /// Sizes and counts a client may not exceed.
    pub limits: Limits,
    /// How long each part of an exchange may take.
    pub timeouts: Timeouts,
    /// Attempts, breakers.
    pub resilience: Resilience,
    /// One line per request on standard output. Default [`AccessLog::Off`].
    pub access_log: AccessLog,
    /// Where a span of each request and of each try goes. Default none: traces are passed on, no
    /// span is made, and nothing is paid for it.
    pub telemetry: Option<Telemetry>,
}

/// A service offered under `/{name}`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Service {
    /// The name in the path and in the registry.
    pub name: ServiceName,
    /// Share of the traffic of each version subset, such as `v1: 90, v2: 10`. Empty: all instances
    /// alike. A subset without instances gives its share to the others.
    pub versions: Vec<(String, u32)>,
    /// Full names of its gRPC services, such as `userservice.UserService`; calls to
    /// `/userservice.UserService/GetUser` go to it without the service's name in front.
    pub grpc: Vec<String>,
    /// Time for a whole exchange. Default none: [`Timeouts::request`] holds.
    pub timeout: Option<Duration>,
}

impl Service {
    /// A service without subsets, gRPC names or timeout of its own.
    pub fn new(name: ServiceName) -> Self {
        Self { name, versions: Vec::new(), grpc: Vec::new(), timeout: None }
    }
}

/// A rule on paths.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Route {
    /// The path as the client sends it, the service's name included. `*` stands for one segment,
    /// `**` at the end for any rest, the empty one too: `/user-service/admin/**`.
    pub path: String,
    /// Methods it holds for; empty for all. A path that matches only with another method is no
    /// match.
    pub methods: Vec<String>,
    /// What it asks of the caller. Default [`Access::Required`].
    pub access: Access,
    /// Roles of which the caller needs one; empty for any. Needs `access: required`.
    pub roles: Vec<String>,
    /// Time for a whole exchange. Default none: the service's holds.
    pub timeout: Option<Duration>,
}

impl Route {
    /// A rule that asks for a valid token, with any role and method.
    pub fn new(path: impl Into<String>) -> Self {
        let (methods, roles) = (Vec::new(), Vec::new());
        Self { path: path.into(), methods, access: Access::Required, roles, timeout: None }
    }
}

/// What a path asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing; a token is passed on unread.
    None,
    /// A token that is sent must be valid; none needs to be sent.
    Optional,
    /// A valid token.
    Required,
}

/// How tokens are verified (HS256).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Auth {
    /// The key, 32 bytes or more.
    pub secret: Secret,
    /// The `iss` a token must have; none for any.
    pub issuer: Option<String>,
    /// The `aud` a token must have; none for any.
    pub audience: Option<String>,
}

impl Auth {
    /// Verifies with this secret; any issuer and audience.
    pub fn new(secret: Secret) -> Self {
        Self { secret, issuer: None, audience: None }
    }
}

/// Requests a client may send in a sliding window.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RateLimit {
    /// Requests in a window. Default 60.
    pub requests: NonZeroU32,
    /// The window. Default 60 s.
    pub window: Duration,
    /// The most memory for all clients together, in bytes; when full, the clients idle longest are
    /// forgotten. Default 32 MiB.
    pub max_bytes: usize,
}

impl Default for RateLimit {
    fn default() -> Self {
        let requests = nonzero_u32(60);
        Self { requests, window: Duration::from_secs(60), max_bytes: 32 << 20 }
    }
}

/// Sizes and counts a client may not exceed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Client connections at once; one more is answered with 503 and closed. Default 10 000.
    pub connections: usize,
    /// Bytes of a request's head, the request line included; more is 431. Default 32 KiB.
    pub header_bytes: usize,
    /// Header fields of a request; more is 431. Default 100, at most 128.
    pub headers: usize,
    /// Bytes of a request target; more is 414. Default 8 KiB.
    pub target_bytes: usize,
    /// Bytes of a request's body; more is 413. Default 10 MiB. gRPC streams are not counted.
    pub body_bytes: u64,
    /// Idle upstream connections kept per instance and core. Default 64.
    pub idle_upstream: usize,
    /// Requests a client may have open on one HTTP/2 connection. Default 200.
    pub http2_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_bytes: 32 * 1024,
            headers: 100,
            target_bytes: 8 * 1024,
            body_bytes: 10 * 1024 * 1024,
            idle_upstream: 64,
            http2_streams: 200,
        }
    }
}

/// How long each part of an exchange may take.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Timeouts {
    /// From a request's first byte to the end of its head; then 408. Default 10 s.
    pub header_read: Duration,
    /// Without a byte of a body, in either direction. Default 30 s.
    pub body_idle: Duration,
    /// A client connection without a request. Default 75 s.
    pub idle: Duration,
    /// An upstream connection without a request; below the 75 s most servers allow. Default 50 s.
    pub upstream_idle: Duration,
    /// To open an upstream connection. Default 1 s: instances are near.
    pub connect: Duration,
    /// From a request's head to the response's head, retries included; then 504. Default 15 s.
    /// A caller's shorter deadline holds instead.
    pub request: Duration,
    /// From the stop to the end of what is in flight. Default 20 s.
    pub drain: Duration,
    /// A tunnel (WebSocket) without a byte in either direction. Default 300 s.
    pub tunnel_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            upstream_idle: Duration::from_secs(50),
            connect: Duration::from_secs(1),
            request: Duration::from_secs(15),
            drain: Duration::from_secs(20),
            tunnel_idle: Duration::from_secs(300),
        }
    }
}

/// Attempts and breakers.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Resilience {
    /// Attempts after the first, each on another instance where there is one. Default 1; 0 to 3.
    pub retries: u8,
    /// Failures in a row that open an instance's breaker. Default 5.
    pub failure_threshold: NonZeroU32,
    /// From opening to the first probe. Default 60 s.
    pub open_for: Duration,
}

impl Default for Resilience {
    fn default() -> Self {
        let failure_threshold = nonzero_u32(5);
        Self { retries: 1, failure_threshold, open_for: Duration::from_secs(60) }
    }
}

/// Lines about requests on standard output.
///
/// Written by a thread of its own through a bounded queue; when that is full, lines are dropped
/// and counted (`regatta_gateway_access_log_dropped_total`), never waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// None.
    #[default]
    Off,
    /// One JSON object a line.
    Json,
    /// One line of text.
    Text,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            admin: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901)),
            workers: None,
            services: Vec::new(),
            routes: Vec::new(),
            default_access: Access::Optional,
            auth: None,
            rate_limit: Some(RateLimit::default()),
            trusted_hops: Vec::new(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            resilience: Resilience::default(),
            access_log: AccessLog::Off,
            telemetry: None,
        }
    }
}

impl Settings {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first one that cannot be.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        self.validate_services()?;
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
            ("resilience.retries", self.resilience.retries.into(), 0, 3),
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
            ("resilience.open_for", self.resilience.open_for),
        ] {
            if value.is_zero() {
                return Err(InvalidSettings::ZeroTime { setting });
            }
        }
        if self.rate_limit.is_some_and(|limit| limit.window.is_zero()) {
            return Err(InvalidSettings::ZeroTime { setting: "rate_limit.window" });
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
        Ok(())
    }
}

fn nonzero_u32(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

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
