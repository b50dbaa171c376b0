//! The key-value store beside a real etcd.

use anyhow::Result;

use crate::run::run as command;

/// Runs the bench of the crate, which speaks etcd's protocol to both.
pub(super) fn run(format: &str) -> Result<()> {
    let cargo = ["bench", "--quiet", "--package", "regatta-control-plane", "--bench", "control"];
    command("cargo", &[&cargo[..], &["--", "--format", format]].concat())
}
