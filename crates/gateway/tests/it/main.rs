//! The gateway, seen from clients and from services.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod support;

mod forwarding;
mod framing;
mod policies;
mod retries;
mod bodies;
mod tunnels;
mod http2;
mod lifecycle;
