//! A real PostgreSQL server for a test.

mod install;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{Process, free_port, wait_until};
use install::{Account, Binaries};

/// How long a server may take to answer: initialising and starting take under 2 s on an idle
/// machine, tests run on busy ones.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A PostgreSQL server of its own: temporary directory, free port, gone with this value.
#[derive(Debug)]
pub struct Postgres {
    // Before the directory, so that the server is gone when its files go.
    process: Option<Process>,
    directory: TempDir,
    binaries: Binaries,
    account: Option<Account>,
    port: u16,
    databases: AtomicU32,
    /// Whether commits are flushed, as a setting.
    fsync: &'static str,
}

/// The server could not be started or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// `initdb` and `postgres` are neither on the PATH nor where distributions put them.
    #[error(
        "PostgreSQL is not installed; run `apt-get install postgresql` (or your system's like) \
         and make sure that `initdb` and `postgres` are on the PATH"
    )]
    NotInstalled,
    /// PostgreSQL refuses to run as root and no other account was found.
    #[error("PostgreSQL does not run as root; run the tests as another user or add user `nobody`")]
    NoAccount,
    /// The temporary directory or a process could not be made.
    #[error("cannot prepare a PostgreSQL server")]
    Io(#[from] io::Error),
    /// `initdb` or `postgres` ended with an error; its output says why.
    #[error("`{program}` failed; it said: {output}")]
    Failed {
        /// The program.
        program: &'static str,
        /// What it wrote.
        output: String,
    },
    /// A database could not be created.
    #[error("cannot create a database for the test")]
    Create(#[source] sqlx::Error),
}

impl Postgres {
    /// Starts a server and waits until it answers.
    ///
    /// It does not flush to disk (`fsync=off`): a test's data need not survive a power cut.
    ///
    /// # Errors
    ///
    /// [`PostgresError`]; when PostgreSQL is missing, with the command that installs it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a server that is half started is ended.
    pub async fn start() -> Result<Self, PostgresError> {
        Self::start_with("fsync=off").await
    }

    /// As [`Postgres::start`], with every commit flushed to disk as a server of use does: for a
    /// benchmark, whose figures are of no use without.
    ///
    /// # Errors
    ///
    /// As [`Postgres::start`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a server that is half started is ended.
    pub async fn start_flushing() -> Result<Self, PostgresError> {
        Self::start_with("fsync=on").await
    }

    async fn start_with(fsync: &'static str) -> Result<Self, PostgresError> {
        let binaries = Binaries::find().ok_or(PostgresError::NotInstalled)?;
        let account = Account::to_run_as()?;
        let directory = install::directory(account.as_ref())?;
        let mut server = Self {
            process: None,
            directory,
            binaries,
            account,
            port: free_port(),
            databases: AtomicU32::new(0),
            fsync,
        };
        server.initialise()?;
        server.resume().await?;
        Ok(server)
    }

    /// The server that all tests of this process share; started by the first that asks.
    ///
    /// # Panics
    ///
    /// When it cannot be started, with the reason: a test can do nothing else about it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next caller starts it.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                Self::start().await.unwrap_or_else(|error| panic!("{error}: {error:?}"))
            })
            .await
    }

    /// Creates an empty database and answers its URL.
    ///
    /// # Errors
    ///
    /// [`PostgresError::Create`] when the server is stopped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: at worst an empty database stays until the server ends.
    pub async fn database(&self) -> Result<String, PostgresError> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed) + 1;
        let mut connection = self.connect().await.map_err(PostgresError::Create)?;
        let create = AssertSqlSafe(format!("CREATE DATABASE test_{number}"));
        sqlx::raw_sql(create).execute(&mut connection).await.map_err(PostgresError::Create)?;
        // The database is there; how the connection ends does not matter.
        let _ = connection.close().await;
        Ok(self.url(&format!("test_{number}")))
    }

    /// Stops the server at once, as an outage would; [`Postgres::resume`] brings it back.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Immediate shutdown: connections are cut, the backends end with the postmaster.
            process.signal(Signal::SIGQUIT);
            let _ = process.wait(START_LIMIT);
        }
    }

    /// Ends the server at once, without a word to it (SIGKILL), and waits until all of its processes
    /// are gone; [`Postgres::resume`] brings it back, with what it had acknowledged.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            // Those that serve connections end by themselves once they see that it is gone, and until
            // then no other server may use the data.
            let data = self.data();
            crate::wait_until_blocking("the server's processes to end", START_LIMIT, || {
                !is_somebodys_folder(&data)
            });
        }
    }

    /// Starts the server again on the same port with the same data.
    ///
    /// # Errors
    ///
    /// [`PostgresError::Failed`] with the server's output.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a server that is half started is ended.
    pub async fn resume(&mut self) -> Result<(), PostgresError> {
        let mut command = self.command(&self.binaries.postgres);
        command.arg("-D").arg(self.data()).arg("-k").arg(self.directory.path());
        command.arg("-p").arg(self.port.to_string());
        for setting in ["listen_addresses=127.0.0.1", self.fsync, "max_connections=200"] {
            command.args(["-c", setting]);
        }
        let mut process = Process::spawn_dying_with(command, Signal::SIGQUIT)?;
        let mut ended = false;
        wait_until("PostgreSQL to answer", START_LIMIT, async || {
            ended = !process.is_running();
            ended || self.connect().await.is_ok()
        })
        .await;
        if ended {
            return Err(PostgresError::Failed { program: "postgres", output: process.output() });
        }
        self.process = Some(process);
        Ok(())
    }

    fn initialise(&self) -> Result<(), PostgresError> {
        let mut command = self.command(&self.binaries.initdb);
        command.arg("-D").arg(self.data());
        command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let mut process = Process::spawn(command)?;
        match process.wait(START_LIMIT) {
            Some(status) if status.success() => Ok(()),
            _ => Err(PostgresError::Failed { program: "initdb", output: process.output() }),
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path());
        if let Some(account) = &self.account {
            account.apply(&mut command);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let url = self.url("postgres");
        let options: sqlx::postgres::PgConnectOptions = url.parse()?;
        options.disable_statement_logging().connect().await
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

/// Whether a process works in this folder, as all of a server's do in that of its data.
fn is_somebodys_folder(folder: &Path) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let folders = processes.flatten().filter_map(|process| {
        // Processes come and go while one looks.
        std::fs::read_link(process.path().join("cwd")).ok()
    });
    folders.into_iter().any(|used| used == folder)
}
