//! Payments as events, in SQLite or PostgreSQL.

use regatta_database::Migration;

mod payments;
pub use payments::{EventedPayments, HearError};

/// The schema beside that of the event store, step by step.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "payments",
        sqlite: include_str!("migrations/1_payments.sqlite.sql"),
        postgres: include_str!("migrations/1_payments.postgres.sql"),
    },
    Migration {
        version: 2,
        name: "orders",
        sqlite: include_str!("migrations/2_orders.sqlite.sql"),
        postgres: include_str!("migrations/2_orders.postgres.sql"),
    },
];
