//! The crate map as a check: arrows point one way.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::workspace;

const CORE: &[&str] = &["regatta-core"];
const WITH_YAML: &[&str] = &["regatta-core", "regatta-yaml"];

/// What each crate of the workspace may depend on within it, lowest first.
///
/// A new arrow needs a decision record in `docs/adr`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("regatta-core", &[]),
    ("regatta-resilience", &[]),
    ("regatta-yaml", &[]),
    ("regatta-config", WITH_YAML),
    ("regatta-telemetry", CORE),
    ("regatta-discovery", CORE),
    ("regatta-auth", CORE),
    // See docs/adr/0007: a cluster holds its instances' breakers.
    ("regatta-traffic", &["regatta-core", "regatta-resilience"]),
    ("regatta-manifest", WITH_YAML),
    ("regatta-proto", &[]),
    ("regatta-testkit", &[]),
    // See docs/adr/0029: the config center in etcd's protocol.
    (
        "regatta-config-etcd",
        &["regatta-core", "regatta-config", "regatta-proto", "regatta-testkit"],
    ),
    // See docs/adr/0072: one way to hold a connection.
    ("regatta-redis-link", &["regatta-testkit"]),
    // See docs/adr/0032: it tells what it does in spans and metrics.
    ("regatta-cache", &["regatta-core", "regatta-telemetry"]),
    (
        "regatta-cache-redis",
        &[
            "regatta-core",
            "regatta-cache",
            "regatta-redis-link",
            "regatta-resilience",
            "regatta-telemetry",
            "regatta-testkit",
        ],
    ),
    ("regatta-limits-redis", &["regatta-redis-link", "regatta-resilience", "regatta-testkit"]),
    ("regatta-database", &["regatta-core", "regatta-telemetry", "regatta-testkit"]),
    // The outbox keeps and the relay publishes events.
    ("regatta-events", CORE),
    ("regatta-eventstore", &["regatta-core", "regatta-events"]),
    ("regatta-events-nats", &["regatta-core", "regatta-events", "regatta-testkit"]),
    (
        "regatta-eventstore-sql",
        &[
            "regatta-core",
            "regatta-database",
            "regatta-events",
            // See docs/adr/0076: the bench of a relay to a real broker.
            "regatta-events-nats",
            "regatta-eventstore",
            "regatta-testkit",
        ],
    ),
    (
        "regatta-events-sql",
        &["regatta-core", "regatta-database", "regatta-events", "regatta-testkit"],
    ),
    ("regatta-discovery-consul", &["regatta-core", "regatta-discovery"]),
    ("regatta-discovery-dns", &["regatta-core", "regatta-discovery"]),
    (
        "regatta-client",
        &[
            "regatta-core",
            "regatta-discovery",
            "regatta-traffic",
            "regatta-resilience",
            "regatta-telemetry",
        ],
    ),
    (
        "regatta-supervisor",
        // See docs/adr/0009: it registers what cannot register itself.
        &["regatta-core", "regatta-discovery", "regatta-manifest", "regatta-testkit"],
    ),
    (
        "regatta",
        &[
            "regatta-core",
            "regatta-config",
            "regatta-config-etcd",
            "regatta-telemetry",
            "regatta-discovery",
            "regatta-discovery-consul",
            "regatta-discovery-dns",
            "regatta-auth",
            "regatta-traffic",
            "regatta-resilience",
            "regatta-client",
            "regatta-cache",
            "regatta-cache-redis",
            "regatta-database",
            // See docs/adr/0035: buses and the event store by URL.
            "regatta-events",
            "regatta-events-nats",
            "regatta-events-sql",
            "regatta-eventstore",
            "regatta-eventstore-sql",
            // See docs/adr/0021: limits that replicas share.
            "regatta-limits-redis",
            // For tests: a gRPC service to serve.
            "regatta-proto",
            "regatta-testkit",
        ],
    ),
    (
        "regatta-gateway",
        &[
            "regatta-core",
            "regatta-config",
            "regatta-telemetry",
            "regatta-discovery",
            "regatta-discovery-consul",
            "regatta-auth",
            "regatta-traffic",
            "regatta-resilience",
            "regatta-testkit",
        ],
    ),
    (
        "regatta-control-plane",
        // Discovery and its Consul backend, the config center's etcd backend, for tests: the clients
        // this server must please.
        &[
            "regatta-core",
            "regatta-config",
            "regatta-config-etcd",
            "regatta-telemetry",
            // See docs/adr/0026: the access file.
            "regatta-yaml",
            "regatta-discovery",
            "regatta-discovery-consul",
            "regatta-proto",
            "regatta-testkit",
        ],
    ),
    (
        "regatta-cli",
        &[
            "regatta-core",
            "regatta-config",
            "regatta-config-etcd",
            "regatta-discovery",
            "regatta-discovery-consul",
            "regatta-discovery-dns",
            // See docs/adr/0035: the verbs events, streams and projections.
            "regatta-database",
            "regatta-events",
            "regatta-events-nats",
            "regatta-events-sql",
            "regatta-eventstore",
            "regatta-eventstore-sql",
            "regatta-yaml",
            "regatta-telemetry",
            "regatta-auth",
            "regatta-gateway",
            "regatta-limits-redis",
            "regatta-resilience",
            "regatta-traffic",
            "regatta-control-plane",
            "regatta-manifest",
            "regatta-supervisor",
            "regatta-testkit",
        ],
    ),
    ("user-service", SERVICE),
    ("order-service", SERVICE),
    ("payment-service", SERVICE),
    // What `regatta new` writes.
    ("example-service", &["regatta"]),
    ("regatta-e2e", &["regatta-testkit", "regatta-proto"]),
    (
        "regatta-sim",
        &[
            "regatta-client",
            "regatta-core",
            "regatta-discovery",
            "regatta-discovery-consul",
            // See docs/adr/0015: the rules of the gateway are those of calls.
            "regatta-gateway",
            "regatta-resilience",
            "regatta-telemetry",
            "regatta-traffic",
        ],
    ),
    ("xtask", &[]),
];

/// A service knows the chassis and what it re-exports, never another service.
const SERVICE: &[&str] = &[
    "regatta",
    "regatta-core",
    "regatta-database",
    // See docs/adr/0035: a domain's aggregates.
    "regatta-eventstore",
    "regatta-proto",
    // For tests: a registry in memory, a bus to look into, and real servers.
    "regatta-discovery",
    "regatta-events-sql",
    "regatta-testkit",
];

/// Fails with every arrow that the map does not have.
pub(crate) fn run() -> Result<()> {
    let wrong: Vec<_> =
        arrows()?.into_iter().filter_map(|(from, to)| verdict(&from, &to)).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("layers: every arrow is in the crate map");
    Ok(())
}

/// What is wrong with one crate depending on another; none when nothing is.
fn verdict(from: &str, to: &str) -> Option<String> {
    // A crate may name itself, to switch on a feature for its own tests.
    if from == to {
        return None;
    }
    match MAY_USE.iter().find(|(name, _)| *name == from) {
        None => Some(format!("{from} has no row; add it to MAY_USE in xtask/src/layers.rs")),
        Some((_, may_use)) if may_use.contains(&to) => None,
        Some(_) => Some(format!("{from} must not know {to}; see the crate map in ARCHITECTURE.md")),
    }
}

/// Every dependency between two crates of the workspace, dev-dependencies too.
fn arrows() -> Result<Vec<(String, String)>> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(workspace::root())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("not JSON")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let name_of = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let arrows = packages.iter().flat_map(|package| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        // Only a dependency within the workspace has a path.
        let ours = dependencies.filter(|dependency| dependency["path"].is_string());
        ours.map(move |dependency| (name_of(package), name_of(dependency)))
    });
    Ok(arrows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_use_only_what_they_may() {
        run().unwrap();
    }

    #[test]
    fn an_arrow_upwards_is_reported() {
        assert!(verdict("regatta-core", "regatta").is_some());
        assert!(verdict("regatta-gateway", "regatta-control-plane").is_some());
        assert!(verdict("user-service", "order-service").is_some());
        assert!(verdict("unheard-of", "regatta-core").is_some());
        assert!(verdict("regatta-client", "regatta-discovery").is_none());
    }

    #[test]
    fn the_map_has_no_cycle() {
        // Lowest first: what a crate may use stands above it.
        let position = |name: &str| MAY_USE.iter().position(|(row, _)| *row == name);
        for (name, may_use) in MAY_USE {
            for used in *may_use {
                assert!(position(used) < position(name), "{name} -> {used}");
            }
        }
    }
}
