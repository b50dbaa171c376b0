#![allow(clippy::unwrap_used, reason = "tests panic on failure")]
//! Calls against real servers, found through a registry in memory.

mod answers;
mod breaker;
mod cancel;
mod chain;
mod deadline;
mod discovery;
mod failure_on;
mod fleet;
mod grpc;
mod grpc_retry;
mod grpc_status;
mod in_flight;
mod live;
mod memory;
mod overload;
mod pool;
mod retry;
mod spans;
mod stale;
mod streams;
