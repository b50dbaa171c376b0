//! The two servers, each a process with a folder on the same disk.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use regatta_control_plane::{ControlPlane, Settings};
use regatta_testkit::Etcd;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// What a file's blocks are counted in, in bytes (stat(2)).
const BLOCK: f64 = 512.0;
const LISTENING: &str = "listening on ";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Etcd,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) endpoint: String,
    pub(crate) process: u32,
    running: Running,
}

/// Ends with its value.
enum Running {
    Ours(Child, TempDir),
    Etcd(Etcd),
}

impl Server {
    pub(crate) async fn start(kind: Kind) -> Self {
        match kind {
            Kind::Ours => {
                let folder = tempfile::tempdir().unwrap();
                let mut child = Command::new(std::env::current_exe().unwrap())
                    .arg("--serve")
                    .arg(folder.path())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
                let endpoint =
                    lines.find_map(|line| Some(line.unwrap().strip_prefix(LISTENING)?.to_owned()));
                let (endpoint, process) = (endpoint.unwrap(), child.id());
                Self { kind, endpoint, process, running: Running::Ours(child, folder) }
            }
            Kind::Etcd => {
                let etcd = Etcd::start().await.unwrap_or_else(|error| panic!("{error}"));
                let (endpoint, process) = (etcd.endpoint(), etcd.id());
                Self { kind, endpoint, process, running: Running::Etcd(etcd) }
            }
        }
    }

    /// What all its files take on the disk, in MB.
    pub(crate) fn disk_megabytes(&self) -> f64 {
        let folder = match &self.running {
            Running::Ours(_, folder) => folder.path(),
            Running::Etcd(etcd) => etcd.data_dir(),
        };
        blocks(folder) as f64 * BLOCK / 1e6
    }

    /// Memory in use, in MB.
    pub(crate) fn megabytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kilobytes: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
        kilobytes / 1000.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        match self {
            Self::Ours(child, _folder) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Self::Etcd(_ends_itself) => (),
        }
    }
}

/// Of all files of a folder.
fn blocks(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let each = entries.map(|entry| match entry.metadata().unwrap() {
        folder if folder.is_dir() => blocks(&entry.path()),
        file => file.blocks(),
    });
    each.sum()
}

/// What the server's own process does.
pub(crate) fn serve(folder: &str) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // As the `regatta` command has.
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut settings = Settings::default();
        settings.consul_listen = SocketAddr::from(([127, 0, 0, 1], 0));
        settings.etcd.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        settings.data_dir = folder.into();
        let control_plane = ControlPlane::bind(settings).await.unwrap();
        println!("{LISTENING}{}", control_plane.etcd_addr().unwrap());
        control_plane.run(CancellationToken::new()).await;
    });
}
