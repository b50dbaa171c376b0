//! The chassis, seen from the network.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]
#![allow(clippy::disallowed_methods, reason = "tests wait for the tasks they spawn")]

mod admin;
mod admission;
mod bad_input;
mod cache;
mod config_center;
mod drain;
mod events;
mod fixture;
mod grpc;
mod guide;
mod health;
mod keys;
mod limits;
mod process;
mod promises;
mod reload;
mod shared_limits;
mod views;
