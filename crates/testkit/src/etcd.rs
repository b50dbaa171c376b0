//! A real etcd server for a test, and its command line client.

use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Process, free_port, wait_until};

/// How long a server may take to elect itself: about 1 s on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// An etcd server of its own: temporary directory, free ports, gone with this value.
#[derive(Debug)]
pub struct Etcd {
    // Before the directory, so that the server is gone when its files go.
    process: Process,
    directory: TempDir,
    port: u16,
}

/// The server could not be started, or its client not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// A program is not on the PATH.
    #[error(
        "`{program}` is not installed; run `apt-get install {package}` (or your system's like)"
    )]
    NotInstalled {
        /// The program.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// The temporary directory or a process could not be made.
    #[error("cannot run etcd")]
    Io(#[source] io::Error),
    /// `etcd` ended with an error; its output says why.
    #[error("`etcd` failed; it said: {output}")]
    Failed {
        /// What it wrote.
        output: String,
    },
}

impl Etcd {
    /// Starts a server of one member and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`EtcdError`]; when etcd is missing, with the command that installs it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a server that is half started is ended.
    pub async fn start() -> Result<Self, EtcdError> {
        let directory = TempDir::new().map_err(EtcdError::Io)?;
        Self::start_in(directory, peer()).await
    }

    /// The same with what `etcdctl snapshot restore` makes of a file.
    ///
    /// # Errors
    ///
    /// [`EtcdError`]; when `etcdctl` does not take the file, with what it said.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a server that is half started is ended.
    pub async fn restored(snapshot: &Path) -> Result<Self, EtcdError> {
        let (directory, peer) = (TempDir::new().map_err(EtcdError::Io)?, peer());
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["snapshot", "restore"]).arg(snapshot);
        command.arg("--data-dir").arg(directory.path().join("data"));
        command.args(["--name", "test", "--initial-cluster"]).arg(format!("test={peer}"));
        command.args(["--initial-advertise-peer-urls", &peer]);
        let run = tokio::task::spawn_blocking(move || command.output()).await;
        let output = run.map_err(io::Error::other).and_then(|output| output);
        let output = output.map_err(|error| missing(error, "etcdctl", "etcd-client"))?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(EtcdError::Failed { output });
        }
        Self::start_in(directory, peer).await
    }

    async fn start_in(directory: TempDir, peer: String) -> Result<Self, EtcdError> {
        let port = free_port();
        let client = format!("http://127.0.0.1:{port}");
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(directory.path().join("data"));
        command.args(["--name", "test", "--initial-cluster"]).arg(format!("test={peer}"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        let mut process =
            Process::spawn(command).map_err(|error| missing(error, "etcd", "etcd-server"))?;
        let mut ended = false;
        wait_until("etcd to answer", START_LIMIT, async || {
            ended = !process.is_running();
            ended || is_healthy(port).await.unwrap_or(false)
        })
        .await;
        if ended {
            return Err(EtcdError::Failed { output: process.output() });
        }
        Ok(Self { process, directory, port })
    }

    /// The server's process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where its files are.
    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    /// Where it listens, such as `127.0.0.1:41234`.
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// Runs `etcdctl` against an endpoint such as `127.0.0.1:2379`, and waits for its end.
///
/// # Errors
///
/// [`EtcdError`]; when it is missing, with the command that installs it.
pub fn etcdctl(endpoint: &str, arguments: &[&str]) -> Result<Output, EtcdError> {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--endpoints", endpoint]).args(arguments);
    command.output().map_err(|error| missing(error, "etcdctl", "etcd-client"))
}

/// Where the server would talk to others.
fn peer() -> String {
    format!("http://127.0.0.1:{}", free_port())
}

fn missing(error: io::Error, program: &'static str, package: &'static str) -> EtcdError {
    match error.kind() {
        io::ErrorKind::NotFound => EtcdError::NotInstalled { program, package },
        _ => EtcdError::Io(error),
    }
}

async fn is_healthy(port: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.contains("\"true\""))
}
