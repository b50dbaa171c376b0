//! The control plane beside real servers.

mod keys;
mod registry;

use anyhow::Result;

use crate::install;

/// Measures in the `release` profile.
pub(super) fn run(format: &str) -> Result<()> {
    install::for_tests()?;
    keys::run(format)?;
    registry::run(format)
}
