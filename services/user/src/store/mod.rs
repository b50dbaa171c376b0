//! Users in SQLite or PostgreSQL.

use std::sync::Arc;

use regatta_database::{Database, Engine, Migration};

use crate::domain::Users;

mod row;

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

/// The users in this database, whose schema is that of [`MIGRATIONS`].
pub fn users(database: &Database) -> Arc<dyn Users> {
    match database.engine() {
        Engine::Sqlite(sqlite) => Arc::new(SqliteUsers::new(database.clone(), sqlite.clone())),
        Engine::Postgres(postgres) => {
            Arc::new(PostgresUsers::new(database.clone(), postgres.clone()))
        }
    }
}
