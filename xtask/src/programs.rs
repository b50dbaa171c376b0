//! The programs that tests from outside and the kill matrix start.

use anyhow::Result;

use crate::run::run;

/// What the programs are built with beyond their defaults: so that one build does for every bus. Who
/// builds their packages without it replaces them.
pub(crate) const FEATURES: &str =
    "regatta-cli/nats,user-service/nats,order-service/nats,payment-service/nats";

/// Builds them all: one command, so that no two callers compile the same twice.
pub(crate) fn build() -> Result<()> {
    run("cargo", &["build", "--workspace", "--bins", "--features", FEATURES])
}
