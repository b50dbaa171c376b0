//! An event bus on a SQL log: SQLite for one machine, PostgreSQL for several.
//!
//! Every process that opens the same database shares the bus. In SQLite the file's write-ahead log
//! tells subscribers of a commit within milliseconds, in PostgreSQL `NOTIFY` does; nobody polls.
//!
//! ```
//! use regatta_database::{Database, Options};
//! use regatta_events::{CloudEvent, EventBus, HistoryQuery};
//! use regatta_events_sql::{SCHEMA, SqlBus};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let database = Database::open("sqlite::memory:", &Options::default())?;
//! database.migrate_schema(&SCHEMA).await?;
//! let bus = SqlBus::new(&database);
//! bus.publish(&[CloudEvent::try_new("1", "/shop", "order.placed")?]).await?;
//! assert_eq!(bus.history(&HistoryQuery::default()).await?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The log holds what its groups still need and what is younger than seven days; a group that nobody
//! will join again is taken off with `EventBus::forget`.
//!
//! What it does not do: no order across partition keys, no partitions over several databases.

use regatta_database::{Migration, Schema};

mod engine;

mod log;

mod trimming;

mod failures;

mod take;

mod claim;

mod acks;

mod settle;

mod deliveries;

mod bus;
pub use bus::SqlBus;

mod groups;

/// The tables; `Database::migrate_schema` makes them.
pub const SCHEMA: Schema<'static> = Schema {
    name: "events",
    migrations: &[
        Migration {
            version: 1,
            name: "bus",
            sqlite: include_str!("migrations/1_bus.sqlite.sql"),
            postgres: include_str!("migrations/1_bus.postgres.sql"),
        },
        Migration {
            version: 2,
            name: "round trips",
            sqlite: include_str!("migrations/2_round_trips.sqlite.sql"),
            postgres: include_str!("migrations/2_round_trips.postgres.sql"),
        },
    ],
};
