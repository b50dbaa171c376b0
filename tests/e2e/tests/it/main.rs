#![allow(clippy::unwrap_used, reason = "tests panic on failure")]
//! What a user sees of the whole system.

mod bad_input;
mod command_line;
mod configuration;
mod failures;
mod grpc;
mod hostile;
mod kill_matrix;
mod other_languages;
mod payments;
mod registry;
mod restarts;
mod tokens;
mod walkthrough;
