//! SQLite: one writer, several readers, and every commit on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlSafeStr, SqlitePool, SqliteTransaction};

use crate::{Error, OpenError, Options};

/// How large the write-ahead log may stay after a checkpoint: 64 MiB; a burst may grow it further.
const JOURNAL_SIZE_LIMIT: &str = "67108864";

/// How many rows the thread that has a connection reads ahead: with fewer it stops more often to be
/// woken again, which costs more than reading some.
const ROW_BUFFER: usize = 512;

/// A SQLite file.
///
/// - **Write-ahead log**: readers never wait for the writer, nor the writer for them.
/// - **One writer connection**, whose transactions begin with `BEGIN IMMEDIATE`: within the process
///   writers queue fairly in the pool; between processes they wait `lock_timeout`, and none fails
///   half-way because a read turned into a write.
/// - **`synchronous = FULL`**: a commit returns after the log is flushed to the disk. SQLite's usual
///   choice with a write-ahead log, `NORMAL`, may lose the last commits in a power cut, and what was
///   acknowledged must not be lost. It costs one flush a commit.
/// - **`secure_delete`**: what is deleted or overwritten is zeros in the file, and not only free.
/// - **Foreign keys** are enforced.
#[derive(Clone, Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    reader: SqlitePool,
    /// None for a database in memory.
    file: Option<PathBuf>,
    /// Whether the writer's last transaction did not flush: who has the writer next makes it flush
    /// again. Only who has the writer, of which there is one, reads and writes it.
    is_lax: Arc<AtomicBool>,
}

impl Sqlite {
    pub(crate) fn open(
        connect: SqliteConnectOptions,
        in_memory: bool,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let connect = connect
            .create_if_missing(true)
            .foreign_keys(true)
            .busy_timeout(options.lock_timeout)
            .row_buffer_size(ROW_BUFFER)
            .thread_name(|id| format!("sqlite-{id}"));
        if in_memory {
            return Ok(Self::in_memory(connect, options));
        }
        create_folder(connect.get_filename())?;
        let file = Some(connect.get_filename().to_owned());
        let is_lax = Arc::new(AtomicBool::new(false));
        let was_lax = is_lax.clone();
        let connect = connect
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT)
            .pragma("secure_delete", "ON");
        let writer = pool(options)
            .max_connections(1)
            // A full disk ends a transaction by itself, and the driver, which did not end it, takes
            // the connection for one in a transaction ever after. It is the only writer: another
            // one takes its place.
            .before_acquire(move |connection, _| {
                let is_free = !connection.is_in_transaction();
                let was_lax = was_lax.clone();
                Box::pin(async move {
                    if is_free && was_lax.load(Ordering::Relaxed) {
                        sqlx::query("PRAGMA synchronous = FULL").execute(connection).await?;
                        was_lax.store(false, Ordering::Relaxed);
                    }
                    Ok(is_free)
                })
            })
            .connect_lazy_with(connect.clone());
        // A read that would write is a bug of the store; better an error here than a lost race.
        let reader = pool(options)
            .max_connections(options.max_connections)
            .connect_lazy_with(connect.pragma("query_only", "ON"));
        Ok(Self { writer, reader, file, is_lax })
    }

    /// Memory that lives as long as its one connection, so reading and writing share it for ever.
    fn in_memory(connect: SqliteConnectOptions, options: &Options) -> Self {
        let pool = pool(options).max_connections(1).idle_timeout(None).max_lifetime(None);
        let pool = pool.connect_lazy_with(connect);
        Self { writer: pool.clone(), reader: pool, file: None, is_lax: Arc::default() }
    }

    /// Connections that only read; a statement that writes fails.
    ///
    /// A database in memory has one connection in all: do not read here while a transaction is open.
    pub fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// The one connection that writes; each statement commits by itself.
    pub fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Begins a transaction that holds the write lock from its start.
    ///
    /// Dropped without a commit, it is rolled back.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when another process keeps the lock longer than `lock_timeout`,
    /// [`Error::Unavailable`] when this process's writer is not free within `acquire_timeout`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun is rolled back.
    pub async fn begin(&self) -> Result<SqliteTransaction<'static>, Error> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Begins a transaction as [`Sqlite::begin`] does, whose commit does not wait for the disk.
    ///
    /// A power cut may take it back, with all that were committed after it and did not wait either;
    /// the end of a process does not. The next commit that waits makes it last. For what may be done
    /// twice.
    ///
    /// # Errors
    ///
    /// As [`Sqlite::begin`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun is rolled back.
    pub async fn begin_lax(&self) -> Result<SqliteTransaction<'static>, Error> {
        if self.file.is_none() {
            return self.begin().await;
        }
        let connection = self.writer.acquire().await?;
        // Before it is so: whoever drops this call half-way leaves a writer that is set right again.
        self.is_lax.store(true, Ordering::Relaxed);
        let begin = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE".into_sql_str();
        // As `Pool::begin_with` does, but with the connection in hand.
        Ok(SqliteTransaction::begin(connection, Some(begin)).await?)
    }

    /// Moves the write-ahead log into the file and empties it, so that nothing is left in it of what
    /// was deleted. Meanwhile nobody writes.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when a reader, of whatever process, keeps an older state longer than
    /// `lock_timeout`; trying again later is safe.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have emptied it. Repeating it is safe.
    pub async fn empty_log(&self) -> Result<(), Error> {
        let checkpoint = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)");
        let (busy, _, _): (i64, i64, i64) = checkpoint.fetch_one(&self.writer).await?;
        match busy {
            0 => Ok(()),
            _ => Err(Error::log_is_held()),
        }
    }

    /// The file; none for a database in memory.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads the file's header: opens it, takes the shared lock, finds a database or not.
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        let mut connection = self.reader.acquire().await?;
        sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
        Ok(connection.ping().await?)
    }

    pub(crate) async fn close(&self) {
        self.reader.close().await;
        // The last connection to close moves the log into the file.
        self.writer.close().await;
    }
}

fn pool(options: &Options) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(0)
        .acquire_timeout(options.acquire_timeout)
        .acquire_slow_threshold(Duration::from_secs(1))
        .idle_timeout(options.idle_timeout)
        .max_lifetime(options.max_lifetime)
        // There is no connection to lose; a ping would only cost a thread switch.
        .test_before_acquire(false)
}

fn create_folder(file: &Path) -> Result<(), OpenError> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder)
            .map_err(|source| OpenError::Folder { path: folder.to_owned(), source }),
        _ => Ok(()),
    }
}
