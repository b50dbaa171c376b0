//! The registry beside a real Consul.

use anyhow::Result;

use crate::run::run as command;

/// Runs the bench of the crate, which speaks Consul's protocol to both.
pub(super) fn run(format: &str) -> Result<()> {
    let cargo = ["bench", "--quiet", "--package", "regatta-control-plane", "--bench", "registry"];
    command("cargo", &[&cargo[..], &["--", "--format", format]].concat())
}
