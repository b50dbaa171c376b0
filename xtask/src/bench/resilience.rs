//! Decisions of the rules beside their peers, and how many instructions they take.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::criterion::{self, Figure, target};
use crate::{install, workspace};

/// Packages with benches of decisions.
const PACKAGES: &[&str] = &["regatta-resilience", "regatta-limits-redis", "regatta-traffic"];

/// Rounds between two counts of instructions.
const ROUNDS: u64 = 10_000;

/// Runs the benches in the `bench` profile and the counts in `release`.
pub(super) fn run(as_json: bool) -> Result<()> {
    // A real server counts the limits.
    install::for_tests()?;
    let mut figures = criterion::run(PACKAGES, "criterion-resilience")?;
    figures.extend(instructions()?);
    for figure in &figures {
        criterion::print(figure, as_json);
    }
    Ok(())
}

/// Instructions of the hot decisions, beside a mutex; none where there is no valgrind.
fn instructions() -> Result<Vec<Figure>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("no instruction counts: `valgrind` is missing; `apt-get install valgrind`");
        return Ok(Vec::new());
    }
    let build = ["build", "--quiet", "--release", "--package", "regatta-resilience"];
    let status = Command::new("cargo")
        .args(build)
        .args(["--example", "instructions"])
        .current_dir(workspace::root())
        .status()?;
    ensure!(status.success(), "the example `instructions` does not build");
    let program = target().join("release/examples/instructions");
    let names = Command::new(&program).output().context("cannot run the example")?.stdout;
    let names = String::from_utf8(names).context("names are text")?;
    let mut counts = Vec::new();
    for name in names.lines() {
        let least = count(&program, name, ROUNDS)?;
        let most = count(&program, name, 2 * ROUNDS)?;
        counts.push((name, most.saturating_sub(least) as f64 / ROUNDS as f64));
    }
    let Some(((peer, peer_value), rest)) = counts.split_first() else { return Ok(Vec::new()) };
    let figure = |(name, ours): &(&str, f64)| Figure {
        what: format!("instructions: {name}"),
        ours: *ours,
        peer: Some(((*peer).to_owned(), *peer_value)),
        unit: "instructions",
    };
    Ok(rest.iter().map(figure).collect())
}

/// The instructions of so many rounds, with what the program needs to start.
fn count(program: &Path, name: &str, rounds: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([name, &rounds.to_string()])
        .output()
        .context("cannot run valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    collected(&text).with_context(|| format!("valgrind counted nothing; it said: {text}"))
}

/// The number in callgrind's line `==1== Collected : 123`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_callgrind_says() {
        let text = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!(collected(text), Some(123_456));
        assert_eq!(collected("valgrind: no such program"), None);
    }
}
