//! `cargo xtask test`: everything that must hold, in the order that fails soonest.

use anyhow::{Result, ensure};

use crate::run::{Count, run as command, run_tests};
use crate::{install, layers, programs, tidy, workspace};

/// What `cargo xtask test` may leave out.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the tests: no formatting, lints or documentation.
    #[arg(long)]
    tests_only: bool,
    /// How often each crash test kills its server; hundreds take minutes. Default: 20.
    #[arg(long, value_name = "NUMBER")]
    kills: Option<u32>,
}

/// Runs everything and closes with the count of all tests.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut count = Count::default();
    let result = all(arguments, &mut count);
    if result.is_ok() || count != Count::default() {
        println!("{} passed, {} failed", count.passed, count.failed);
    }
    result
}

fn all(arguments: &Arguments, count: &mut Count) -> Result<()> {
    install::for_tests()?;
    if !arguments.tests_only {
        command("cargo", &["fmt", "--all", "--", "--check"])?;
        layers::run()?;
        tidy::run()?;
        let lints = ["clippy", "--workspace", "--all-targets", "--features", programs::FEATURES];
        command("cargo", &[&lints[..], &["--", "-D", "warnings"]].concat())?;
    }
    // The end-to-end tests start the programs themselves.
    programs::build()?;
    let kills = arguments.kills.map(|kills| format!("REGATTA_TEST_KILLS={kills}"));
    let at_once = at_once().to_string();
    let nextest = ["cargo", "nextest", "run", "--workspace", "--no-fail-fast", "--test-threads"];
    let runner: &[&str] = match std::process::Command::new("cargo-nextest")
        .arg("--version")
        .output()
    {
        Ok(_) => &[&nextest[..], &[&at_once]].concat(),
        Err(_) => &["cargo", "test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"],
    };
    // One set of features for all, or the programs would be built again without them.
    let features = ["--features", programs::FEATURES];
    let runner = kills.as_deref().into_iter().chain(runner.iter().copied()).chain(features);
    let runner: Vec<_> = runner.collect();
    let tests_passed = run_tests("env", &runner, count)?;
    let models_passed = models(count)?;
    let examples = [&["test", "--workspace", "--doc"], &features[..]].concat();
    let examples_passed = run_tests("cargo", &examples, count)?;
    let all_passed = tests_passed && models_passed && examples_passed;
    ensure!(all_passed, "tests failed; the runner's output above names them");
    if !arguments.tests_only {
        command("cargo", &["doc", "--workspace", "--no-deps", "--quiet"])?;
    }
    Ok(())
}

/// How many tests run at once: half as many again as there are cores, since the long ones wait for
/// clocks and servers more than they compute.
fn at_once() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores + cores.div_ceil(2)
}

/// Crates with atomics of their own, whose interleavings loom runs one by one.
const MODELLED: &[&str] = &["regatta-resilience", "regatta-traffic"];

/// Runs the models of loom. In a folder of their own: the flag that switches them on means another
/// build of every dependency, and must not undo the build of everything else.
fn models(count: &mut Count) -> Result<bool> {
    let target = format!("CARGO_TARGET_DIR={}", workspace::target().join("loom").display());
    let cargo = ["RUSTFLAGS=--cfg loom", target.as_str(), "cargo", "test", "--quiet", "--lib"];
    let packages = MODELLED.iter().flat_map(|package| ["--package", package]);
    let arguments: Vec<_> = cargo.into_iter().chain(packages).chain(["loom_tests"]).collect();
    run_tests("env", &arguments, count)
}
