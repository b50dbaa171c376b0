//! Decisions of the rules beside their peers, and how many instructions they take.
//!
//! The benches are criterion's: a group is one line here, its function `ours` our figure, each
//! other function a peer. A group with a throughput is told per second, else in nanoseconds.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::workspace;

/// Packages with benches of decisions.
const PACKAGES: &[&str] = &["regatta-resilience", "regatta-limits-redis", "regatta-traffic"];

/// Rounds between two counts of instructions.
const ROUNDS: u64 = 10_000;

/// One line of the report.
struct Figure {
    what: String,
    ours: f64,
    peer: String,
    peer_value: f64,
    unit: &'static str,
}

/// Runs the benches in the `bench` profile and the counts in `release`.
pub(super) fn run(as_json: bool) -> Result<()> {
    let results = target().join("criterion-resilience");
    // What another run left is not of this one.
    let _ = std::fs::remove_dir_all(&results);
    let mut cargo = Command::new("cargo");
    cargo.args(["bench", "--quiet", "--benches"]);
    cargo.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    cargo.env("CRITERION_HOME", &results).current_dir(workspace::root());
    // Criterion's own lines are not figures of ours.
    let output = cargo.stdout(std::process::Stdio::null()).status();
    let status = output.context("cannot run `cargo bench`")?;
    ensure!(status.success(), "`cargo bench` failed: {status}");
    let mut figures = figures(&measurements(&results)?);
    figures.extend(instructions()?);
    for figure in &figures {
        print(figure, as_json);
    }
    Ok(())
}

/// What criterion measured: group, function, nanoseconds an iteration, elements an iteration.
struct Measurement {
    group: String,
    function: String,
    nanoseconds: f64,
    elements: Option<f64>,
}

fn measurements(results: &Path) -> Result<Vec<Measurement>> {
    let mut found = Vec::new();
    for group in folders(results)? {
        for function in folders(&group)? {
            let new = function.join("new");
            if !new.join("benchmark.json").is_file() {
                continue;
            }
            let read = |file: &str| -> Result<Value> {
                let text = std::fs::read(new.join(file)).context("a result has gone")?;
                Ok(serde_json::from_slice(&text)?)
            };
            let (benchmark, estimates) = (read("benchmark.json")?, read("estimates.json")?);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            // The median: other work on the machine makes some rounds long, never short.
            let nanoseconds = estimates["median"]["point_estimate"].as_f64();
            found.push(Measurement {
                group: text(&benchmark["group_id"]),
                function: text(&benchmark["function_id"]),
                nanoseconds: nanoseconds.context("an estimate without a median")?,
                elements: benchmark["throughput"]["Elements"].as_f64(),
            });
        }
    }
    found.sort_by(|one, other| (&one.group, &one.function).cmp(&(&other.group, &other.function)));
    Ok(found)
}

fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(path)
        .with_context(|| format!("no results in `{}`; did the benches run?", path.display()))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.is_dir());
    Ok(paths)
}

/// One figure for each peer of a group.
fn figures(measurements: &[Measurement]) -> Vec<Figure> {
    let ours = measurements.iter().filter(|measurement| measurement.function == "ours");
    let pairs = ours.flat_map(|ours| {
        let peers = measurements.iter();
        let peers = peers.filter(|peer| peer.group == ours.group && peer.function != "ours");
        peers.map(move |peer| (ours, peer))
    });
    pairs
        .map(|(ours, peer)| {
            let value = |of: &Measurement| match of.elements {
                Some(elements) => elements * 1e9 / of.nanoseconds,
                None => of.nanoseconds,
            };
            Figure {
                what: ours.group.clone(),
                ours: value(ours),
                peer: peer.function.clone(),
                peer_value: value(peer),
                unit: if ours.elements.is_some() { "calls/s" } else { "ns" },
            }
        })
        .collect()
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
        peer: (*peer).to_owned(),
        peer_value: *peer_value,
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

fn print(figure: &Figure, as_json: bool) {
    let Figure { what, ours, peer, peer_value, unit } = figure;
    let ratio = ours / peer_value;
    if as_json {
        let line = json!({
            "what": what, "ours": ours, "peer": peer, "peer_value": peer_value, "ratio": ratio,
            "unit": unit,
        });
        println!("{line}");
    } else {
        println!("{what:<58} {ours:>12.1} {peer:<34} {peer_value:>12.1} {ratio:>8.4}  {unit}");
    }
}

fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| workspace::root().join("target"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(function: &str, nanoseconds: f64, elements: Option<f64>) -> Measurement {
        let group = "limiter".to_owned();
        Measurement { group, function: function.to_owned(), nanoseconds, elements }
    }

    #[test]
    fn each_peer_of_a_group_is_a_figure() {
        let all = [measured("governor", 40.0, None), measured("ours", 20.0, None)];
        let figures = figures(&all);
        assert_eq!(figures.len(), 1);
        assert_eq!((figures[0].ours, figures[0].peer_value), (20.0, 40.0));
        assert_eq!((figures[0].peer.as_str(), figures[0].unit), ("governor", "ns"));
    }

    #[test]
    fn a_throughput_is_told_per_second() {
        let all = [measured("ours", 1_000.0, Some(64.0)), measured("raw", 500.0, Some(64.0))];
        let figures = figures(&all);
        assert_eq!((figures[0].ours, figures[0].peer_value), (64e6, 128e6));
        assert_eq!(figures[0].unit, "calls/s");
    }

    #[test]
    fn the_count_is_read_from_what_callgrind_says() {
        let text = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!(collected(text), Some(123_456));
        assert_eq!(collected("valgrind: no such program"), None);
    }
}
