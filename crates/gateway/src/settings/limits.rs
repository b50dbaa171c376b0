//! What a client may not exceed, in size, count and time.

use std::num::NonZeroU32;
use std::time::Duration;

use regatta_resilience::rate_limit::Algorithm;
use regatta_traffic::clients::OnOutage;

/// Requests a client may send in a sliding window.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// Requests in a window. Default 60.
    pub requests: NonZeroU32,
    /// The window. Default 60 s.
    pub window: Duration,
    /// The most memory for all clients together, in bytes; when full, newcomers share windows. Half
    /// of it is for names and half for addresses, so that names that are made up keep out nobody
    /// who has none; all of it for addresses where they alone count. Default 32 MiB.
    pub max_bytes: usize,
    /// Who a client is. Default [`LimitKey::ClientId`] (R19).
    pub key: LimitKey,
    /// Whether the whole limit may come at once, or is paced. Default the sliding window (R19).
    pub algorithm: Algorithm,
    /// What happens while the shared counts ([`crate::Settings::shared_limit`],
    /// [`crate::Route::shared_limit`]) are out of reach.
    /// Default [`OnOutage::Count`].
    pub on_outage: OnOutage,
}

/// Who a client is, for a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LimitKey {
    /// What `X-Client-ID` says, else the address (R19). The client's own word: who changes it has
    /// a new limit. The default.
    #[default]
    ClientId,
    /// The address, or whom a trusted hop names.
    Address,
    /// The subject of a verified token, else the address. Needs `auth`.
    User,
    /// What a header of this name says, else the address. The client's own word, unless a hop in
    /// front of the gateway sets it.
    Header(String),
}

impl Default for RateLimit {
    fn default() -> Self {
        let requests = super::nonzero_u32(60);
        Self {
            requests,
            window: Duration::from_secs(60),
            max_bytes: 32 << 20,
            key: LimitKey::default(),
            algorithm: Algorithm::default(),
            on_outage: OnOutage::default(),
        }
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
