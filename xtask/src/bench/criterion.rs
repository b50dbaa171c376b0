//! Benches of criterion as figures of ours.
//!
//! A group is one line, its function `ours` our figure, each other function a peer; a group without
//! a peer is told by itself. A group with a throughput is told per second, else in nanoseconds.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::workspace;

/// One line of the report.
pub(super) struct Figure {
    pub(super) what: String,
    pub(super) ours: f64,
    /// Whose figure is beside it, and which; none when there is no other implementation.
    pub(super) peer: Option<(String, f64)>,
    pub(super) unit: &'static str,
}

/// Runs the benches of these packages in the `bench` profile. What one run leaves under `name` is
/// not taken for another's.
pub(super) fn run(packages: &[&str], name: &str) -> Result<Vec<Figure>> {
    let results = workspace::target().join(name);
    let _ = std::fs::remove_dir_all(&results);
    let mut cargo = Command::new("cargo");
    cargo.args(["bench", "--quiet", "--benches"]);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    cargo.env("CRITERION_HOME", &results).current_dir(workspace::root());
    // Criterion's own lines are not figures of ours.
    let output = cargo.stdout(std::process::Stdio::null()).status();
    let status = output.context("cannot run `cargo bench`")?;
    ensure!(status.success(), "`cargo bench` failed: {status}");
    Ok(figures(&measurements(&results)?))
}

/// Prints one line: for people, or as JSON.
pub(super) fn print(figure: &Figure, as_json: bool) {
    let Figure { what, ours, peer, unit } = figure;
    let ratio = peer.as_ref().map(|(_, value)| ours / value);
    let (name, value) = peer.as_ref().map(|(name, value)| (name.as_str(), *value)).unzip();
    if as_json {
        let line = json!({
            "what": what, "ours": ours, "peer": name, "peer_value": value, "ratio": ratio,
            "unit": unit,
        });
        println!("{line}");
        return;
    }
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let (value, ratio, name) = (number(value, 1), number(ratio, 4), name.unwrap_or("-"));
    println!("{what:<58} {ours:>12.1} {name:<34} {value:>12} {ratio:>8}  {unit}");
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

/// One figure for each peer of a group, and one for a group without.
fn figures(measurements: &[Measurement]) -> Vec<Figure> {
    let value = |of: &Measurement| match of.elements {
        Some(elements) => elements * 1e9 / of.nanoseconds,
        None => of.nanoseconds,
    };
    let mut found = Vec::new();
    for ours in measurements.iter().filter(|measurement| measurement.function == "ours") {
        let figure = |peer| Figure {
            what: ours.group.clone(),
            ours: value(ours),
            peer,
            unit: if ours.elements.is_some() { "calls/s" } else { "ns" },
        };
        let peers = measurements.iter();
        let peers = peers.filter(|peer| peer.group == ours.group && peer.function != "ours");
        let with: Vec<_> =
            peers.map(|peer| figure(Some((peer.function.clone(), value(peer))))).collect();
        if with.is_empty() {
            found.push(figure(None));
        }
        found.extend(with);
    }
    found
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
        assert_eq!((figures[0].ours, figures[0].unit), (20.0, "ns"));
        assert_eq!(figures[0].peer, Some(("governor".to_owned(), 40.0)));
    }

    #[test]
    fn a_group_without_a_peer_is_a_figure_too() {
        let figures = figures(&[measured("ours", 20.0, None)]);
        assert_eq!((figures.len(), figures[0].ours, &figures[0].peer), (1, 20.0, &None));
    }

    #[test]
    fn a_throughput_is_told_per_second() {
        let all = [measured("ours", 1_000.0, Some(64.0)), measured("raw", 500.0, Some(64.0))];
        let figures = figures(&all);
        assert_eq!((figures[0].ours, figures[0].unit), (64e6, "calls/s"));
        assert_eq!(figures[0].peer, Some(("raw".to_owned(), 128e6)));
    }
}
