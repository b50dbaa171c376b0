//! The data parts beside bare clients: event store, event buses, caches, the outbox.

use anyhow::Result;

use super::criterion;
use crate::install;

/// Packages with benches of data.
const PACKAGES: &[&str] = &[
    "regatta-cache",
    "regatta-cache-redis",
    "regatta-events-nats",
    "regatta-events-sql",
    "regatta-eventstore-sql",
];

/// Runs the benches in the `bench` profile, on real servers.
pub(super) fn run(as_json: bool) -> Result<()> {
    install::for_tests()?;
    for figure in &criterion::run(PACKAGES, "criterion-data")? {
        criterion::print(figure, as_json);
    }
    Ok(())
}
