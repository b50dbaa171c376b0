//! How far a log in PostgreSQL may be read without missing a commit that comes late.

use sqlx::PgConnection;

use crate::{Error, Postgres};

/// How many low bits of the advisory lock's key hold the sequence's value.
const VALUE_BITS: u32 = 48;

/// The number up to which a log that is numbered by a sequence is complete.
///
/// Transactions take numbers in one order and commit in another, so a reader that goes on from the
/// highest number it saw misses a lower one that commits later. Here each writer holds, from before
/// it takes a number until its transaction has ended, a shared advisory lock whose key says how far
/// the sequence was; the reader stops at the lowest of these. Writers wait for nobody, and no other
/// transaction of the server can hold the reader up.
///
/// The key is this log's tag in the upper 16 bits and the sequence's value in the lower 48.
///
/// The sequence must begin with a number that nobody uses, so that its `last_value` is always one
/// that was taken: `CREATE SEQUENCE s MINVALUE 0 START 0; SELECT nextval('s');`.
#[derive(Clone, Copy, Debug)]
pub struct Horizon {
    /// The sequence that numbers the log. `CACHE` must be 1, its default.
    pub sequence: &'static str,
    /// What tells this log's locks from others of the database: 1 to 32,767.
    pub tag: i16,
}

impl Horizon {
    /// Announces a writer, before it takes its first number in this transaction.
    ///
    /// A function of the database may do the same; see the type's documentation for the key.
    ///
    /// # Errors
    ///
    /// [`Error`] of the database.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the lock ends with the transaction.
    pub async fn announce(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let lock =
            format!("SELECT pg_advisory_xact_lock_shared($1 | last_value) FROM {}", self.sequence);
        let lock = sqlx::query(sqlx::AssertSqlSafe(lock)).bind(self.key());
        lock.execute(connection).await?;
        Ok(())
    }

    /// The number up to which everything that will ever be committed is visible to a statement that
    /// is begun after this returns.
    ///
    /// # Errors
    ///
    /// [`Error`] of the database.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn reached(&self, postgres: &Postgres) -> Result<i64, Error> {
        // The inner query names the outer row, so the sequence is read before the locks: a writer
        // that took its lock after that takes higher numbers. Neither is a matter of snapshots.
        let reached = format!(
            "SELECT least(log.last_value, (
                 SELECT min(((held.classid::bigint << 32) | held.objid::bigint) & $2)
                 FROM pg_locks held
                 WHERE held.locktype = 'advisory' AND held.objsubid = 1
                     AND held.classid::bigint >> 16 = $1
                     AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND log.last_value IS NOT NULL
             )) FROM {} log",
            self.sequence
        );
        let value_mask = (1_i64 << VALUE_BITS) - 1;
        let reached = sqlx::query_scalar(sqlx::AssertSqlSafe(reached));
        let reached = reached.bind(i64::from(self.tag)).bind(value_mask);
        Ok(reached.fetch_one(postgres.pool()).await?)
    }

    fn key(&self) -> i64 {
        i64::from(self.tag) << VALUE_BITS
    }
}
