//! Users in SQLite or PostgreSQL.

use std::sync::Arc;

use regatta::eventstore_sql::SqlStore;
use regatta_database::{Database, Engine, Migration};

use crate::domain::Users;

mod row;

mod telling;
pub use telling::Tell;
use telling::Telling;

mod sqlite;
pub use sqlite::SqliteUsers;

mod postgres;
pub use postgres::PostgresUsers;

mod cached;
pub use cached::CachedUsers;

/// The schema, step by step.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "users",
    sqlite: include_str!("migrations/1_users.sqlite.sql"),
    postgres: include_str!("migrations/1_users.postgres.sql"),
}];

/// The users in this database, whose schema is that of [`MIGRATIONS`] beside the event store's. What
/// `tell` makes of a change goes into the outbox with it.
pub fn users(database: &Database, store: &SqlStore, tell: Tell) -> Arc<dyn Users> {
    let (database, telling) = (database.clone(), Telling::new(database, store, tell));
    match database.engine().clone() {
        Engine::Sqlite(sqlite) => Arc::new(SqliteUsers::new(database, sqlite, telling)),
        Engine::Postgres(postgres) => Arc::new(PostgresUsers::new(database, postgres, telling)),
    }
}
