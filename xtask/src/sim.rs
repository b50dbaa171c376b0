//! `cargo xtask sim`: the simulations, with a seed of choice.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// What `cargo xtask sim` may be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The number all randomness comes from; without it the fixed seeds of `cargo xtask test`.
    #[arg(long)]
    seed: Option<u64>,
    /// Only simulations with this in their name.
    filter: Option<String>,
}

/// Runs the simulations and shows what they print.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace::root()).args(["test", "-p", "regatta-sim", "--test", "it", "--"]);
    cargo.args(&arguments.filter).args(["--nocapture", "--test-threads=1"]);
    if let Some(seed) = arguments.seed {
        cargo.env("REGATTA_SIM_SEED", seed.to_string());
    }
    let status = cargo.status().context("cannot run `cargo`; is it on the PATH?")?;
    ensure!(status.success(), "a simulation failed; its seed stands above its figures");
    Ok(())
}
