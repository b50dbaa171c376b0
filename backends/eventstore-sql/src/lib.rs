//! The event store, outbox, inbox and projections in SQLite and PostgreSQL.
//!
//! [`SqlStore`] is an `EventStore`, an `Outbox` and a `ProjectionStore` over the service's own
//! database; its tables, [`SCHEMA`], stand beside the service's and begin with `regatta_`. What must
//! happen together is written in one `Transaction`: [`SqlStore::append_in`], [`SqlStore::enqueue`]
//! and [`Inbox::first_time`] take it.
//!
//! ```
//! use regatta_database::{Database, Options};
//! use regatta_eventstore::{Append, EventStore, Expected, NewEvent, StreamId};
//! use regatta_eventstore_sql::{SCHEMA, SqlStore};
//! use uuid::Uuid;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let database = Database::open("sqlite::memory:", &Options::default())?;
//! database.migrate_schema(&SCHEMA).await?;
//! let store = SqlStore::new(&database);
//! let placed = NewEvent::new(Uuid::now_v7(), "OrderPlaced", serde_json::json!({ "amount": 5 }));
//! let append = Append::new(StreamId::try_new("order", 1)?, Expected::Any, vec![placed]);
//! assert_eq!(store.append(&append).await?.version.get(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Global order: SQLite has one writer at a time. PostgreSQL commits in another order than it
//! numbers, so readers stop before the lowest number that is still being written; see
//! `docs/adr/0011-commits-that-overtake.md`.
//!
//! What it does not do: no read replicas (a horizon is the primary's), no archive of old events.

use regatta_database::{Migration, Schema};

mod engine;

mod row;

mod keys;

mod append;

mod read;

mod snapshots;

mod checkpoints;

mod store;
pub use store::SqlStore;

mod turn;

mod outbox;

mod inbox;
pub use inbox::Inbox;

mod once;

mod views;

/// The tables; `Database::migrate_schema` makes them beside the service's own.
pub const SCHEMA: Schema<'static> = Schema {
    name: "eventstore",
    migrations: &[
        Migration {
            version: 1,
            name: "events",
            sqlite: include_str!("migrations/1_events.sqlite.sql"),
            postgres: include_str!("migrations/1_events.postgres.sql"),
        },
        Migration {
            version: 2,
            name: "append",
            sqlite: "SELECT 1; -- nothing changes here",
            postgres: include_str!("migrations/2_append.postgres.sql"),
        },
    ],
};
