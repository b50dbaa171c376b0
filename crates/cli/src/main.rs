//! The regatta command.

mod control_plane;
mod failure;
mod output;
mod system;
mod usage;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use crate::failure::Failure;
use crate::output::Format;
use crate::verbs::Verb;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads of the runtime: the gateway has its own, the rest waits more than it computes.
const THREADS: usize = 2;

/// Runs a system of services: one manifest, one command.
#[derive(Debug, Parser)]
#[command(name = "regatta", version, max_term_width = 100, subcommand_required = true)]
struct Cli {
    #[command(flatten)]
    system: system::Place,
    /// How results are printed: text for people, json for programs.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    format: Format,
    #[command(subcommand)]
    verb: Verb,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let arguments = std::env::args_os().map(|it| it.to_string_lossy().into_owned());
            return usage::refuse(&error, arguments);
        }
    };
    let format = cli.format;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(THREADS).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(cli.verb.run(&cli.system, format)),
        Err(error) => Err(Failure::from(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(format),
    }
}
