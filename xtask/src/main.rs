//! `cargo xtask`: tests, checks and benches of this workspace.

mod bench;
mod fuzz;
mod install;
mod kill_matrix;
mod layers;
mod programs;
mod run;
mod sim;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tests, checks and benches of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Installs what the tests need, then checks and tests everything.
    Test(test::Arguments),
    /// Installs what the tests need, and nothing else.
    Install,
    /// Builds the programs that the tests from outside start.
    Build,
    /// Checks that crates depend on each other only in the directions of the crate map.
    Layers,
    /// Checks the habits that a text scan can see: heads, lengths, names, forbidden words.
    Tidy,
    /// Runs the simulations: the platform in a network whose faults a seed decides.
    Sim(sim::Arguments),
    /// Kills every participant of the saga at every step, under load, and checks that nothing is lost.
    KillMatrix(kill_matrix::Arguments),
    /// Feeds what others might send to everything that reads it, and keeps what it found.
    Fuzz(fuzz::Arguments),
    /// Runs a benchmark and prints ratios against its peers.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().verb {
        Verb::Test(arguments) => test::run(&arguments),
        Verb::Install => install::for_tests(),
        Verb::Build => programs::build(),
        Verb::Layers => layers::run(),
        Verb::Tidy => tidy::run(),
        Verb::Sim(arguments) => sim::run(&arguments),
        Verb::KillMatrix(arguments) => kill_matrix::run(&arguments),
        Verb::Fuzz(arguments) => fuzz::run(&arguments),
        Verb::Bench(arguments) => bench::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
