//! A real Redis server for a test.

use std::io;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Process, free_port, wait_until};

/// How long a server may take to answer: under 0.1 s on an idle machine, tests run on busy ones.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A Redis server of its own: temporary directory, free port, nothing on disk, gone with this
/// value.
#[derive(Debug)]
pub struct Redis {
    // Before the directory, so that the server is gone when its files go.
    process: Option<Process>,
    directory: TempDir,
    port: u16,
}

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// `redis-server` is not on the PATH.
    #[error(
        "Redis is not installed; run `apt-get install redis-server` (or your system's like) and \
         make sure that `redis-server` is on the PATH"
    )]
    NotInstalled,
    /// The temporary directory or the process could not be made.
    #[error("cannot prepare a Redis server")]
    Io(#[from] io::Error),
    /// `redis-server` ended with an error; its output says why.
    #[error("`redis-server` failed; it said: {output}")]
    Failed {
        /// What it wrote.
        output: String,
    },
}

impl Redis {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`RedisError`]; when Redis is missing, with the command that installs it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a server that is half started is ended.
    pub async fn start() -> Result<Self, RedisError> {
        let directory = TempDir::new()?;
        let mut server = Self { process: None, directory, port: free_port() };
        server.resume().await?;
        Ok(server)
    }

    /// Where it listens, such as `redis://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the server at once, as a crash would, with all its data; [`Redis::resume`] brings an
    /// empty one back.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Holds the server still: connections stay open and nothing is answered, until
    /// [`Redis::thaw`].
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a server go on that was held still.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Starts the server again on the same port, empty.
    ///
    /// # Errors
    ///
    /// [`RedisError::Failed`] with the server's output.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a server that is half started is ended.
    pub async fn resume(&mut self) -> Result<(), RedisError> {
        let mut command = Command::new("redis-server");
        command.current_dir(self.directory.path());
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--loglevel", "warning"]);
        let mut process = Process::spawn(command).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => RedisError::NotInstalled,
            _ => RedisError::Io(error),
        })?;
        let mut ended = false;
        wait_until("Redis to answer", START_LIMIT, async || {
            ended = !process.is_running();
            ended || self.answers().await.unwrap_or(false)
        })
        .await;
        if ended {
            return Err(RedisError::Failed { output: process.output() });
        }
        self.process = Some(process);
        Ok(())
    }

    async fn answers(&self) -> io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        Ok(&answer == b"+PONG")
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }
}
