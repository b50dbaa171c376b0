//! Orders as events, in SQLite or PostgreSQL.

use regatta_database::Migration;

mod keys;

mod view;
pub use view::OrderList;

mod orders;
pub use orders::{EventedOrders, HearError};

/// The schema beside that of the event store, step by step.
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
    Migration {
        version: 3,
        name: "keys",
        sqlite: include_str!("migrations/3_keys.sqlite.sql"),
        postgres: include_str!("migrations/3_keys.postgres.sql"),
    },
];
