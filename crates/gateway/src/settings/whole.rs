//! What an operator sets, with its defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;

use regatta_resilience::rate_limit::SharedLimiter;
use regatta_telemetry::Telemetry;

use super::{Access, AccessLog, Auth, Limits, RateLimit, Route, Service, Timeouts, Traffic};
use crate::Network;

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
    /// Where the counts of `rate_limit` are kept for all gateways together; its limit and window
    /// are in force then. Default none: each gateway counts for itself.
    pub shared_limit: Option<Arc<dyn SharedLimiter>>,
    /// Hops whose `Forwarded` and `X-Forwarded-*` are believed and extended. Default none: what a
    /// client says about itself is dropped.
    pub trusted_hops: Vec<Network>,
    /// Sizes and counts a client may not exceed.
    pub limits: Limits,
    /// How long each part of an exchange may take.
    pub timeouts: Timeouts,
    /// How requests are sent to instances, for services that do not say otherwise.
    pub traffic: Traffic,
    /// One line per request on standard output. Default [`AccessLog::Off`].
    pub access_log: AccessLog,
    /// Where a span of each request and of each try goes. Default none: traces are passed on, no
    /// span is made, and nothing is paid for it.
    pub telemetry: Option<Telemetry>,
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
            shared_limit: None,
            trusted_hops: Vec::new(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            traffic: Traffic::default(),
            access_log: AccessLog::Off,
            telemetry: None,
        }
    }
}
