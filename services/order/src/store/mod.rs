//! Orders in SQLite or PostgreSQL.

use std::sync::Arc;

use regatta_database::{Database, Engine, Migration};

use crate::domain::Orders;

mod row;

mod sqlite;
pub use sqlite::SqliteOrders;

mod postgres;
pub use postgres::PostgresOrders;

/// The schema, step by step.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "orders",
        sqlite: include_str!("migrations/1_orders.sqlite.sql"),
        postgres: include_str!("migrations/1_orders.postgres.sql"),
    },
    Migration {
        version: 2,
        name: "pending",
        sqlite: include_str!("migrations/2_pending.sqlite.sql"),
        postgres: include_str!("migrations/2_pending.postgres.sql"),
    },
];

/// The orders in this database, whose schema is that of [`MIGRATIONS`].
pub fn orders(database: &Database) -> Arc<dyn Orders> {
    match database.engine() {
        Engine::Sqlite(sqlite) => Arc::new(SqliteOrders::new(database.clone(), sqlite.clone())),
        Engine::Postgres(postgres) => {
            Arc::new(PostgresOrders::new(database.clone(), postgres.clone()))
        }
    }
}
