//! A real Consul server for a test, and its command line client.

use std::io;
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Process, bullseye, free_ports, wait_until};

/// How long a server may take to elect itself: some 4 s on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// A Consul server of its own: temporary directory, free ports, gone with this value.
#[derive(Debug)]
pub struct Consul {
    // Before the directory, so that the server is gone when its files go.
    process: Process,
    _directory: TempDir,
    http: u16,
    dns: u16,
}

/// The server could not be started, or its client not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsulError {
    /// The program is not there.
    #[error("`consul` is not in `target/bullseye`; `cargo xtask test` gets it")]
    NotInstalled,
    /// The temporary directory or a process could not be made.
    #[error("cannot run consul")]
    Io(#[source] io::Error),
    /// `consul` ended with an error; its output says why.
    #[error("`consul` failed; it said: {output}")]
    Failed {
        /// What it wrote.
        output: String,
    },
}

impl Consul {
    /// Starts a server of one member that keeps its data on the disk, and waits until it has
    /// elected itself and listed itself in its catalog.
    ///
    /// # Errors
    ///
    /// [`ConsulError`]; when Consul is missing, with the command that installs it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a server that is half started is ended.
    pub async fn start() -> Result<Self, ConsulError> {
        let directory = TempDir::new().map_err(ConsulError::Io)?;
        let [http, dns, lan, wan, server, grpc] = free_ports();
        let mut command = Command::new(bullseye("consul"));
        command.args(["agent", "-server", "-bootstrap-expect=1", "-node=real", "-log-level=warn"]);
        command.args(["-bind=127.0.0.1", "-client=127.0.0.1", "-disable-host-node-id"]);
        command.arg("-data-dir").arg(directory.path().join("data"));
        for (name, port) in [
            ("http", http),
            ("dns", dns),
            ("serf-lan", lan),
            ("serf-wan", wan),
            ("server", server),
            ("grpc", grpc),
        ] {
            command.arg(format!("-{name}-port={port}"));
        }
        // The least that Consul allows; the default elects in some 10 s.
        command.args(["-hcl", "performance { raft_multiplier = 1 }"]);
        // All clients of a test are at one address, from which 200 connections are allowed.
        command.args(["-hcl", "limits { http_max_conns_per_client = 10000 }"]);
        let mut process = Process::spawn(command).map_err(missing)?;
        let mut ended = false;
        wait_until("consul to answer", START_LIMIT, async || {
            ended = !process.is_running();
            ended || is_ready(http).await.unwrap_or(false)
        })
        .await;
        if ended {
            return Err(ConsulError::Failed { output: process.output() });
        }
        Ok(Self { process, _directory: directory, http, dns })
    }

    /// Where its HTTP API listens, such as `127.0.0.1:41234`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.http)
    }

    /// Where it answers DNS, over UDP and TCP.
    pub fn dns_address(&self) -> String {
        format!("127.0.0.1:{}", self.dns)
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Runs the command `consul` against an HTTP API such as `127.0.0.1:8500`, and waits for its end.
///
/// # Errors
///
/// [`ConsulError`]; when it is missing, with the command that installs it.
pub fn consul(address: &str, arguments: &[&str]) -> Result<Output, ConsulError> {
    consul_command(address, arguments).output().map_err(missing)
}

/// The command `consul` against an HTTP API such as `127.0.0.1:8500`, not started yet.
pub fn consul_command(address: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(bullseye("consul"));
    command.env("CONSUL_HTTP_ADDR", address).args(arguments);
    command
}

fn missing(error: io::Error) -> ConsulError {
    match error.kind() {
        io::ErrorKind::NotFound => ConsulError::NotInstalled,
        _ => ConsulError::Io(error),
    }
}

/// Whether it has a leader and its own node in the catalog, healthy.
async fn is_ready(port: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /v1/health/service/consul?passing HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.contains("serfHealth"))
}
