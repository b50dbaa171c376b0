//! The chassis, seen from the network.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]
#![allow(clippy::disallowed_methods, reason = "tests wait for the tasks they spawn")]

mod admin;
mod admission;
mod bad_input;
mod cache;
mod config_center;
mod drain;
<<<<<<< HEAD
mod events;
=======
>>>>>>> 00c8a44 (docs: decisions on releases and on what is kept on disk)
mod fixture;
mod grpc;
mod guide;
mod health;
mod keys;
mod limits;
mod process;
mod promises;
mod reload;
<<<<<<< HEAD
mod shared_limits;
=======
>>>>>>> 00c8a44 (docs: decisions on releases and on what is kept on disk)
