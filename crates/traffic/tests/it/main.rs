#![allow(clippy::unwrap_used, reason = "tests panic on failure")]
//! The cluster, seen from its callers.

mod answers;
mod balance;
mod hashing;
mod health;
mod invariants;
mod membership;
mod outliers;
mod shared_faults;
mod support;
mod zones;
