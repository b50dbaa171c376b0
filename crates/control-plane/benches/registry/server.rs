//! The two servers, each a process in a folder of its own, on one disk.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use regatta_control_plane::{ControlPlane, Settings};
use regatta_testkit::Consul;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const LISTENING: &str = "listening on ";
/// The kernel's unit of CPU time (proc(5), USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Consul,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: String,
    process: u32,
    _running: Running,
}

/// Ends with its value.
enum Running {
    Ours(Child, TempDir),
    Consul(Consul),
}

impl Server {
    pub(crate) async fn start(kind: Kind) -> Self {
        if kind == Kind::Consul {
            let consul = Consul::start().await.unwrap_or_else(|error| panic!("{error}"));
            let (address, process) = (consul.address(), consul.id());
            return Self { address, process, _running: Running::Consul(consul) };
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("--serve").arg(folder.path()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address =
            lines.find_map(|line| Some(line.unwrap().strip_prefix(LISTENING)?.to_owned()));
        let (address, process) = (address.unwrap(), child.id());
        Self { address, process, _running: Running::Ours(child, folder) }
    }

    /// CPU time so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process)).unwrap();
        // Behind the name, which may have spaces: fields 14 and 15 of all are user and system time.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<_> = fields.split_whitespace().collect();
        let ticks: f64 = [11, 12].map(|at| fields[at].parse::<f64>().unwrap()).iter().sum();
        ticks / TICKS_PER_SECOND
    }

    /// Memory in use, in MB.
    pub(crate) fn megabytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1000.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        match self {
            Self::Ours(child, _folder) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Self::Consul(_ends_itself) => (),
        }
    }
}

/// What the server's own process does.
pub(crate) fn serve(folder: &str) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut settings = Settings::default();
        settings.consul_listen = SocketAddr::from(([127, 0, 0, 1], 0));
        settings.data_dir = folder.into();
        let control_plane = ControlPlane::bind(settings).await.unwrap();
        println!("{LISTENING}{}", control_plane.addr());
        control_plane.run(CancellationToken::new()).await;
    });
}
