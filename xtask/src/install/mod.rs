//! Installs what the tests need and the machine lacks.

mod bullseye;
mod venv;

use std::path::Path;

use anyhow::{Context, Result};

use crate::run::run;

/// A program that a test starts: what it is called, where else it may lie, its Debian package.
struct Need {
    program: &'static str,
    folders: &'static [&'static str],
    package: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        program: "postgres",
        folders: &[
            "/usr/lib/postgresql/15/bin",
            "/usr/lib/postgresql/16/bin",
            "/usr/lib/postgresql/17/bin",
        ],
        package: "postgresql",
    },
    Need { program: "curl", folders: &[], package: "curl" },
    Need { program: "redis-server", folders: &[], package: "redis-server" },
    Need { program: "redis-cli", folders: &[], package: "redis-tools" },
    Need { program: "nats-server", folders: &["/usr/sbin"], package: "nats-server" },
    Need { program: "etcd", folders: &[], package: "etcd-server" },
    Need { program: "etcdctl", folders: &[], package: "etcd-client" },
    Need { program: "dig", folders: &[], package: "bind9-dnsutils" },
];

/// What the gateway's bench compares with.
const PEERS: &[Need] = &[
    Need { program: "nginx", folders: &["/usr/sbin"], package: "nginx-light" },
    Need { program: "haproxy", folders: &["/usr/sbin"], package: "haproxy" },
];

/// What counts instructions.
const COUNTERS: &[Need] = &[Need { program: "valgrind", folders: &[], package: "valgrind" }];

/// Installs the servers and clients that tests start.
pub(crate) fn for_tests() -> Result<()> {
    install(NEEDS)?;
    bullseye::install()?;
    venv::install()
}

/// Installs the proxies that the gateway's bench compares with.
pub(crate) fn for_gateway_bench() -> Result<()> {
    install(PEERS)
}

/// Installs what counts instructions.
pub(crate) fn for_instruction_counts() -> Result<()> {
    install(COUNTERS)
}

fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<_> =
        needs.iter().filter(|need| !is_there(need)).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let remedy =
        || format!("install by hand what is missing: `apt-get install -y {}`", missing.join(" "));
    as_root("apt-get", &["update", "-q"]).with_context(remedy)?;
    let install = [&["install", "-y", "-q", "--no-install-recommends"], &missing[..]].concat();
    as_root("apt-get", &install).with_context(remedy)
}

/// Runs a command that needs root, without questions.
fn as_root(program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = vec!["env", "DEBIAN_FRONTEND=noninteractive", program];
    // Root needs no sudo, and a container has none.
    if !is_root() {
        command.insert(0, "sudo");
    }
    let (program, rest) = command.split_first().context("the command is not empty")?;
    run(program, &[rest, arguments].concat())
}

fn is_there(need: &Need) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(need.folders.iter().map(|f| f.into()));
    folders.into_iter().any(|folder| folder.join(need.program).is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    Path::new("/proc/self").metadata().is_ok_and(|metadata| metadata.uid() == 0)
}
