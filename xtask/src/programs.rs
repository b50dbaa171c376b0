//! The programs that tests from outside and the kill matrix start.

use anyhow::Result;

use crate::run::run;

/// What the programs are built with beyond their defaults: so that one build does for every bus. Who
/// builds their packages without it replaces them.
pub(crate) const FEATURES: &str =
    "regatta-cli/nats,user-service/nats,order-service/nats,payment-service/nats";

/// Builds them all: one command, so that no two callers compile the same twice.
pub(crate) fn build() -> Result<()> {
    build_with(&[])
}

/// The same as users run them: `target/release`.
pub(crate) fn build_release() -> Result<()> {
    build_with(&["--release"])
}

fn build_with(options: &[&str]) -> Result<()> {
    let all = ["build", "--workspace", "--bins", "--features", FEATURES];
    run("cargo", &[&all[..], options].concat())
}
