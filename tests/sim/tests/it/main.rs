#![allow(clippy::unwrap_used, reason = "tests panic on failure")]
//! What happens to callers when the network, the registry and instances do their worst.

mod amplification;
mod gateway;
mod grpc;
mod ill_instances;
mod registry_outage;
mod rolling_restart;
mod shared_fault;
mod world;
