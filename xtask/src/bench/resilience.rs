//! Decisions of the rules beside their peers, and how many instructions they take.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::criterion::{self, Figure};
use crate::{install, workspace};

/// Packages with benches of decisions.
const PACKAGES: &[&str] = &["regatta-resilience", "regatta-limits-redis", "regatta-traffic"];

/// Examples that run one decision by its name so many times; each names them, one a line.
const EXAMPLES: &[(&str, &str)] =
    &[("regatta-resilience", "instructions"), ("regatta-traffic", "choices")];

/// Rounds between two counts of instructions.
const ROUNDS: u64 = 10_000;

/// Runs the benches and counts the instructions, or only the latter; in the `bench` profile.
pub(super) fn run(only_instructions: bool, as_json: bool) -> Result<()> {
    let mut figures = if only_instructions {
        Vec::new()
    } else {
        // A real server counts the limits.
        install::for_tests()?;
        criterion::run(PACKAGES, "criterion-resilience")?
    };
    figures.extend(instructions()?);
    for figure in &figures {
        criterion::print(figure, as_json);
    }
    Ok(())
}

/// Instructions of the hot decisions, beside the first of them: a mutex.
fn instructions() -> Result<Vec<Figure>> {
    install::for_instruction_counts()?;
    let mut counts = Vec::new();
    for (package, example) in EXAMPLES {
        // As the benches are built, so that no dependency is compiled twice.
        let build = ["build", "--quiet", "--profile", "bench", "--package", package];
        let status = Command::new("cargo")
            .args(build)
            .args(["--example", example])
            .current_dir(workspace::root())
            .status()?;
        ensure!(status.success(), "the example `{example}` does not build");
        let program = workspace::target().join("release/examples").join(example);
        let names = Command::new(&program).output().context("cannot run the example")?.stdout;
        let names = String::from_utf8(names).context("names are text")?;
        for name in names.lines() {
            let least = count(&program, name, ROUNDS)?;
            let most = count(&program, name, 2 * ROUNDS)?;
            counts.push((name.to_owned(), most.saturating_sub(least) as f64 / ROUNDS as f64));
        }
    }
    Ok(figures(&counts))
}

/// A figure for each count but the first, which is their peer.
fn figures(counts: &[(String, f64)]) -> Vec<Figure> {
    let Some((peer, rest)) = counts.split_first() else { return Vec::new() };
    let figure = |(name, ours): &(String, f64)| Figure {
        what: format!("instructions: {name}"),
        ours: *ours,
        peer: Some(peer.clone()),
        unit: "instructions",
    };
    rest.iter().map(figure).collect()
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
    fn each_count_stands_beside_the_first() {
        let counts = [("mutex", 20.0), ("breaker", 30.0), ("route", 90.0)];
        let figures = figures(&counts.map(|(name, count)| (name.to_owned(), count)));
        let told: Vec<_> =
            figures.iter().map(|figure| (figure.what.as_str(), figure.ours)).collect();
        assert_eq!(told, [("instructions: breaker", 30.0), ("instructions: route", 90.0)]);
        assert!(figures.iter().all(|figure| figure.peer == Some(("mutex".to_owned(), 20.0))));
    }

    #[test]
    fn the_count_is_read_from_what_callgrind_says() {
        let text = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!(collected(text), Some(123_456));
        assert_eq!(collected("valgrind: no such program"), None);
    }
}
