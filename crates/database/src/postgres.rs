//! PostgreSQL: a pool that connects when it is needed and heals after an outage.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, PgTransaction};

use crate::{Error, Options};

/// How long a probe may take; under the 5 s that a health check gives it.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// A PostgreSQL server.
///
/// Connections are made on demand and tested before each use, so an outage costs the queries of
/// that time and no restart. The server stops statements, lock waits and idle transactions that run
/// past the limits of [`Options`]. They travel as start-up `options`; a pooler in between, such as
/// PgBouncer, must let those pass. Commits wait for the server's own `synchronous_commit`, which is
/// on unless its operator switched it off.
#[derive(Clone, Debug)]
pub struct Postgres {
    pool: PgPool,
    /// The connection that listens for news, held while somebody waits for them.
    news: PgPool,
}

impl Postgres {
    pub(crate) fn open(connect: PgConnectOptions, options: &Options) -> Self {
        let milliseconds = |limit: Duration| format!("{}ms", limit.as_millis());
        let connect = connect.application_name(&options.application_name).options([
            ("statement_timeout", milliseconds(options.statement_timeout)),
            ("lock_timeout", milliseconds(options.lock_timeout)),
            ("idle_in_transaction_session_timeout", milliseconds(options.idle_transaction_timeout)),
        ]);
        // The driver would log each statement with its text; spans say what happened without it.
        let connect = connect.disable_statement_logging();
        let pool = PgPoolOptions::new()
            .min_connections(0)
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .acquire_slow_threshold(Duration::from_secs(1))
            .idle_timeout(options.idle_timeout)
            .max_lifetime(options.max_lifetime)
            .test_before_acquire(true)
            .connect_lazy_with(connect.clone());
        let news = PgPoolOptions::new()
            .min_connections(0)
            .max_connections(1)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(options.idle_timeout)
            .connect_lazy_with(connect);
        Self { pool, news }
    }

    /// The connections; each statement commits by itself.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a transaction of the server's default isolation, READ COMMITTED.
    ///
    /// Dropped without a commit, it is rolled back.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when there is no connection within `acquire_timeout`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun is rolled back.
    pub async fn begin(&self) -> Result<PgTransaction<'static>, Error> {
        Ok(self.pool.begin().await?)
    }

    /// Asks the server on an idle connection; when all are busy, on one beside the pool: a busy
    /// service is not an unhealthy one, and a refused connection says more than an empty pool.
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        let asking = async {
            if let Some(mut connection) = self.pool.try_acquire()
                && connection.ping().await.is_ok()
            {
                return Ok(());
            }
            let mut connection = self.connect().await?;
            connection.ping().await?;
            Ok(connection.close().await?)
        };
        tokio::time::timeout(PROBE_TIMEOUT, asking).await.unwrap_or_else(|_| Err(late()))
    }

    /// A connection beside the pool; no answer within `acquire_timeout` is an error.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Error> {
        let options = self.pool.connect_options();
        let connecting = PgConnection::connect_with(options.as_ref());
        let limit = self.pool.options().get_acquire_timeout();
        Ok(tokio::time::timeout(limit, connecting).await.map_err(|_| late())??)
    }

    /// The connection for `LISTEN`, apart from those for queries.
    pub(crate) fn news(&self) -> &PgPool {
        &self.news
    }

    pub(crate) async fn close(&self) {
        self.news.close().await;
        self.pool.close().await;
    }
}

fn late() -> Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()
}
