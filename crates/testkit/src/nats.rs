//! A real NATS server with JetStream for a test.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::{Process, free_port, wait_until};

/// How long a server may take to answer: under 0.1 s on an idle machine, tests run on busy ones.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The file with more configuration, in the server's directory.
const CONFIG: &str = "nats.conf";

/// A NATS server of its own: temporary directory, free port, gone with this value.
#[derive(Debug)]
pub struct Nats {
    // Before the directory, so that the server is gone when its files go.
    process: Option<Process>,
    directory: TempDir,
    port: u16,
    has_config: bool,
}

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// `nats-server` is not there.
    #[error(
        "NATS is not installed; run `apt-get install nats-server` (or your system's like) and make \
         sure that `nats-server` is on the PATH"
    )]
    NotInstalled,
    /// The temporary directory or the process could not be made.
    #[error("cannot prepare a NATS server")]
    Io(#[from] io::Error),
    /// `nats-server` ended with an error; its output says why.
    #[error("`nats-server` failed; it said: {output}")]
    Failed {
        /// What it wrote.
        output: String,
    },
}

impl Nats {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`NatsError`]; when NATS is missing, with the command that installs it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a server that is half started is ended.
    pub async fn start() -> Result<Self, NatsError> {
        Self::start_in(TempDir::new()?, None).await
    }

    /// Starts a server with more configuration, such as whom it lets in. What the configuration names
    /// may lie in this directory, which is then the server's.
    ///
    /// # Errors
    ///
    /// As [`Nats::start`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a server that is half started is ended.
    pub async fn start_with(directory: TempDir, config: &str) -> Result<Self, NatsError> {
        Self::start_in(directory, Some(config)).await
    }

    async fn start_in(directory: TempDir, config: Option<&str>) -> Result<Self, NatsError> {
        if let Some(config) = config {
            std::fs::write(directory.path().join(CONFIG), config)?;
        }
        let port = free_port();
        let has_config = config.is_some();
        let mut server = Self { process: None, directory, port, has_config };
        server.resume().await?;
        Ok(server)
    }

    /// Where it listens, such as `nats://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its directory, with what its configuration names.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the server at once, as a crash would; [`Nats::resume`] brings it back with its data.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Holds the server still: connections stay open and nothing is answered, until
    /// [`Nats::thaw`].
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a server go on that was held still.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Starts the server again on the same port and data.
    ///
    /// # Errors
    ///
    /// [`NatsError::Failed`] with the server's output.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a server that is half started is ended.
    pub async fn resume(&mut self) -> Result<(), NatsError> {
        // Debian's folder for servers is not on everybody's PATH.
        let beside = Path::new("/usr/sbin/nats-server");
        let program = if beside.is_file() { beside } else { Path::new("nats-server") };
        let mut command = Command::new(program);
        command.args(["--addr", "127.0.0.1", "--port", &self.port.to_string(), "--jetstream"]);
        command.arg("--store_dir").arg(self.directory.path());
        if self.has_config {
            command.arg("--config").arg(self.directory.path().join(CONFIG));
        }
        let mut process = Process::spawn(command).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => NatsError::NotInstalled,
            _ => NatsError::Io(error),
        })?;
        let mut ended = false;
        wait_until("NATS to answer", START_LIMIT, async || {
            ended = !process.is_running();
            ended || self.answers().await.unwrap_or(false)
        })
        .await;
        if ended {
            return Err(NatsError::Failed { output: process.output() });
        }
        self.process = Some(process);
        Ok(())
    }

    async fn answers(&self) -> io::Result<bool> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).await?;
        if !line.starts_with("INFO ") || !line.contains("\"jetstream\":true") {
            return Ok(false);
        }
        // Whom it does not know it does not answer any more than this.
        if ["\"auth_required\":true", "\"tls_required\":true"].iter().any(|it| line.contains(it)) {
            return Ok(true);
        }
        lines.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n").await?;
        line.clear();
        lines.read_line(&mut line).await?;
        Ok(line.starts_with("PONG"))
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }
}
