//! The gateway, seen from clients and from services.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod support;

mod bodies;
mod early_answers;
mod failure_on;
mod forwarding;
mod framing;
mod grpc;
mod hedging;
mod http2;
mod in_flight;
mod keys;
mod lifecycle;
mod live;
mod operators;
mod overload;
mod policies;
mod refusals;
mod replay;
mod retries;
mod route_rules;
mod spans;
mod tunnels;
