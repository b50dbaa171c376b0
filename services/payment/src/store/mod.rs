//! Payments in SQLite or PostgreSQL.

use std::sync::Arc;

use regatta_database::{Database, Engine, Migration};

use crate::domain::Payments;

mod row;

mod sqlite;
pub use sqlite::SqlitePayments;

mod postgres;
pub use postgres::PostgresPayments;

/// The schema, step by step.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "payments",
    sqlite: include_str!("migrations/1_payments.sqlite.sql"),
    postgres: include_str!("migrations/1_payments.postgres.sql"),
}];

/// The payments in this database, whose schema is that of [`MIGRATIONS`].
pub fn payments(database: &Database) -> Arc<dyn Payments> {
    match database.engine() {
        Engine::Sqlite(sqlite) => Arc::new(SqlitePayments::new(database.clone(), sqlite.clone())),
        Engine::Postgres(postgres) => {
            Arc::new(PostgresPayments::new(database.clone(), postgres.clone()))
        }
    }
}
