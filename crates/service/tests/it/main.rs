//! The chassis, seen from the network.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod bad_input;
mod drain;
mod fixture;
mod grpc;
mod health;
mod limits;
mod promises;
