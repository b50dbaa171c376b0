//! `cargo xtask kill-matrix`: the saga, its participants killed one after the other.

use anyhow::Result;

use crate::run::run as command;
use crate::{install, programs};

/// What `cargo xtask kill-matrix` may be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many kills.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// What data and events are kept in.
    #[arg(long, default_value = "sqlite")]
    engines: String,
    /// Kill programs that are built as users run them; without it those of the tests.
    #[arg(long)]
    release: bool,
}

/// Builds the programs and runs the matrix; the counts are printed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    install::for_tests()?;
    let matrix = if arguments.release {
        programs::build_release()?;
        "target/release/kill-matrix"
    } else {
        programs::build()?;
        "target/debug/kill-matrix"
    };
    let rounds = arguments.rounds.to_string();
    command(matrix, &[&rounds, &arguments.engines])
}
