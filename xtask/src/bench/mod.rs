//! `cargo xtask bench`: speed, as ratios against named peers in the same run.

mod control;
mod criterion;
mod data;
mod resilience;
mod startup;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::install;
use crate::run::run as command;

/// Which bench, and how it prints.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure.
    what: What,
    /// A table for people, or one JSON object per figure:
    /// `{what, ours, peer, peer_value, ratio, unit}`.
    #[arg(long, default_value = "table")]
    format: Format,
    /// Of `resilience`, only how many instructions each decision takes: needs no quiet machine.
    #[arg(long)]
    instructions: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// The gateway beside nginx and HAProxy: CPU seconds per 100,000 requests.
    Gateway,
    /// A service with the whole chassis on, beside bare axum.
    Chassis,
    /// The control plane beside a real etcd: puts, ranges, watches, memory.
    Control,
    /// The reference system: time to the first answer, memory at rest.
    Startup,
    /// Event store, event buses, caches and the outbox, beside bare clients.
    Data,
    /// The cost of single decisions: breaker, limiter, retry, balancer; Redis limits; instructions.
    Resilience,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Runs the bench, optimised; the gateway's in the profile `ship`, as it is deployed, since its peers
/// are the distribution's.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let format = match arguments.format {
        Format::Table => "table",
        Format::Json => "json",
    };
    let bench = |profile: &str, package: &str, bench: &str| {
        let profile = ["bench", "--quiet", "--profile", profile];
        let cargo = [&profile[..], &["--package", package, "--bench", bench]].concat();
        command("cargo", &[&cargo[..], &["--", "--format", format]].concat())
    };
    let is_resilience = matches!(arguments.what, What::Resilience);
    ensure!(
        is_resilience || !arguments.instructions,
        "instructions are counted of `resilience` only; leave out `--instructions`"
    );
    match arguments.what {
        What::Gateway => {
            install::for_gateway_bench()?;
            bench("ship", "regatta-gateway", "gateway")
        }
        What::Chassis => bench("bench", "regatta", "chassis"),
        What::Control => control::run(format),
        What::Startup => startup::run(matches!(arguments.format, Format::Json)),
        What::Data => data::run(matches!(arguments.format, Format::Json)),
        What::Resilience => {
            let as_json = matches!(arguments.format, Format::Json);
            resilience::run(arguments.instructions, as_json)
        }
    }
}
