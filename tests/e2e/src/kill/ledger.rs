//! A service's database, read from outside.

use anyhow::{Context, Result};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row as _};

/// A database, of either engine.
#[derive(Clone, Debug)]
pub(super) enum Ledger {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Ledger {
    pub(super) fn open(url: &str) -> Result<Self> {
        if let Some(file) = url.strip_prefix("sqlite://") {
            let options = SqliteConnectOptions::new().filename(file).read_only(true);
            return Ok(Self::Sqlite(SqlitePoolOptions::new().connect_lazy_with(options)));
        }
        let pool = PgPoolOptions::new().max_connections(4);
        Ok(Self::Postgres(pool.connect_lazy(url).context("not a URL of PostgreSQL")?))
    }

    /// What the statement selects; every column must be text.
    pub(super) async fn rows(&self, select: &str) -> Result<Vec<Vec<String>>> {
        let select = AssertSqlSafe(select);
        Ok(match self {
            Self::Sqlite(pool) => {
                let rows = sqlx::query(select).fetch_all(pool).await?;
                rows.iter()
                    .map(|row| texts(row.len(), |at| row.try_get(at)))
                    .collect::<Result<_>>()?
            }
            Self::Postgres(pool) => {
                let rows = sqlx::query(select).fetch_all(pool).await?;
                rows.iter()
                    .map(|row| texts(row.len(), |at| row.try_get(at)))
                    .collect::<Result<_>>()?
            }
        })
    }

    /// The one number that the statement selects.
    pub(super) async fn count(&self, select: &str) -> Result<u64> {
        let rows = self.rows(select).await?;
        let number = rows.first().and_then(|row| row.first()).context("no row")?;
        number.parse().with_context(|| format!("`{number}` is no count"))
    }

    /// Whether the statement selects anything; false also while the database is away.
    pub(super) async fn has(&self, select: &str) -> bool {
        self.rows(select).await.is_ok_and(|rows| !rows.is_empty())
    }
}

fn texts(
    columns: usize,
    get: impl Fn(usize) -> Result<Option<String>, sqlx::Error>,
) -> Result<Vec<String>> {
    (0..columns).map(|at| Ok(get(at)?.unwrap_or_default())).collect()
}
