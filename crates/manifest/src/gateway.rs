//! The gateway of the system.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Rate, Traffic};

/// Where clients enter and under which rules.
///
/// An optional limit or timeout that is none has the gateway's own default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gateway {
    /// Where clients connect. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Where metrics and health are served to operators; none switches that off. Default
    /// `127.0.0.1:9901`.
    pub admin: Option<SocketAddr>,
    /// Threads. Default one per core.
    pub workers: Option<NonZeroU16>,
    /// How tokens are verified; none when the gateway verifies none.
    pub auth: Option<Auth>,
    /// What clients may not exceed.
    pub limits: Limits,
    /// How long each part of an exchange may take.
    pub timeouts: Timeouts,
    /// Attempts after the first, 0 to 3; `traffic.retries` comes before it.
    pub retries: Option<u8>,
    /// How requests are sent to services that do not say otherwise.
    pub traffic: Traffic,
    /// Addresses or ranges whose `Forwarded` and `X-Forwarded-*` are believed. Default none.
    pub trusted_hops: Vec<String>,
    /// A line per request on standard output. Default off.
    pub access_log: AccessLog,
    /// Rules on paths; the first match wins.
    pub routes: Vec<Route>,
}

/// How tokens are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Auth {
    /// The `iss` a token must have.
    pub issuer: String,
    /// The `aud` a token must have. Default any.
    pub audience: Option<String>,
    /// What a path without a rule asks of its caller. Default [`Requirement::Optional`].
    pub default: Requirement,
    /// Where the issuer's public keys are. Default none: tokens are signed with the secret.
    pub keys: Option<Keys>,
    /// Whether tokens that are signed with the secret of `AUTH__SECRET` are accepted. Default yes
    /// without keys, no with them.
    pub secret: bool,
}

/// Where an issuer's public keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// A file with a JWKS document or a public key in PEM, relative to the manifest.
    File(PathBuf),
    /// The URL of a JWKS document.
    Url(String),
}

/// What a path asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing; a token is passed on unread.
    None,
    /// A token that is sent must be valid; none needs to be sent.
    Optional,
    /// A valid token.
    Required,
}

/// Requests that one client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerClient {
    /// As many as it likes.
    Unlimited,
    /// At most so many.
    AtMost(Rate),
}

/// What clients may not exceed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests of one client.
    pub per_client: Option<PerClient>,
    /// Who a client is. Default [`LimitKey::ClientId`].
    pub key: Option<LimitKey>,
    /// The most memory for all clients together, in bytes.
    pub max_bytes: Option<u64>,
    /// Requests of one client that may come at once; the rest is paced evenly (GCRA). Default none:
    /// all of them may, in a sliding window.
    pub burst: Option<u32>,
    /// Where clients are counted for all gateways together, such as `redis://10.0.0.5`. Default
    /// none: each gateway counts for itself.
    pub url: Option<String>,
    /// What happens while that is out of reach.
    pub on_outage: Option<OnOutage>,
    /// Client connections at once.
    pub connections: Option<u32>,
    /// Bytes of a request's head.
    pub header_bytes: Option<u64>,
    /// Header fields of a request.
    pub headers: Option<u32>,
    /// Bytes of a request target.
    pub target_bytes: Option<u64>,
    /// Bytes of a request's body.
    pub body_bytes: Option<u64>,
    /// Requests open on one HTTP/2 connection.
    pub http2_streams: Option<u32>,
    /// Idle connections kept per instance and core.
    pub idle_upstream: Option<u32>,
}

/// Who a client is, for its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitKey {
    /// What `X-Client-ID` says, else the address.
    ClientId,
    /// The address, or whom a trusted hop names.
    Address,
    /// The subject of a verified token, else the address.
    User,
    /// What the header of this name says, else the address.
    Header(String),
}

/// What happens to requests while the shared counts are out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOutage {
    /// Every request passes.
    Admit,
    /// None passes.
    Refuse,
    /// Each gateway counts for itself.
    Count,
}

/// How long each part of an exchange may take; each more than 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// To read a request's head.
    pub header_read: Option<Duration>,
    /// Without a byte of a body.
    pub body_idle: Option<Duration>,
    /// A client connection without a request.
    pub idle: Option<Duration>,
    /// An upstream connection without a request.
    pub upstream_idle: Option<Duration>,
    /// To open an upstream connection.
    pub connect: Option<Duration>,
    /// To the response's head, retries included.
    pub request: Option<Duration>,
    /// From the stop to the end of what is in flight.
    pub drain: Option<Duration>,
    /// A tunnel (WebSocket) without a byte.
    pub tunnel_idle: Option<Duration>,
}

/// Lines about requests.
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

/// A rule on paths.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The line of the manifest where it begins.
    pub line: u32,
    /// The path as the client sends it. `*` or `{name}` stands for one segment, `**` at the end for
    /// any rest: `/user-service/admin/**`.
    pub path: String,
    /// Methods it holds for, in capitals; empty for all.
    pub methods: Vec<String>,
    /// What it asks of the caller. Default [`Requirement::Required`] when the gateway has `auth`,
    /// else [`Requirement::None`].
    pub auth: Requirement,
    /// Roles of which the caller needs one; empty for any.
    pub roles: Vec<String>,
    /// Time for a whole exchange. Default none: the service's.
    pub timeout: Option<Duration>,
    /// Requests that one client may send to its paths, beside `limits.per_client`. Default none.
    pub rate_limit: Option<RouteLimit>,
    /// Only instances of this version are asked. Default none: as the service's weights say.
    pub version: Option<String>,
}

/// Requests that one client may send to the paths of a route. What is none is as the gateway's
/// `limits` say, the rate and the burst apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteLimit {
    /// How many in which time.
    pub per_client: Rate,
    /// Who a client is.
    pub key: Option<LimitKey>,
    /// Requests that may come at once; the rest is paced evenly. Default none: all of them may.
    pub burst: Option<u32>,
    /// What happens while the shared counts are out of reach.
    pub on_outage: Option<OnOutage>,
    /// The most memory for all clients together, in bytes.
    pub max_bytes: Option<u64>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9901))),
            workers: None,
            auth: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            retries: None,
            traffic: Traffic::default(),
            trusted_hops: Vec::new(),
            access_log: AccessLog::Off,
            routes: Vec::new(),
        }
    }
}
