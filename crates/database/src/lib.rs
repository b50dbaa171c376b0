//! A database per service: SQLite embedded, PostgreSQL in production, chosen by URL.
//!
//! [`Database::open`] makes the pools and connects to nothing: a service starts while its database
//! is away and heals by itself. [`Database::migrate`] brings the schema up, safely with several
//! replicas at once. A store then writes SQL for each [`Engine`] and sends it through
//! [`Database::query`], which times it and sorts its errors.
//!
//! ```
//! use regatta_database::{Database, Engine, Migration, Options};
//!
//! const MIGRATIONS: &[Migration] = &[Migration {
//!     version: 1,
//!     name: "users",
//!     sqlite: "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
//!     postgres: "CREATE TABLE users (id INT GENERATED ALWAYS AS IDENTITY, name TEXT NOT NULL)",
//! }];
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let database = Database::open("sqlite::memory:", &Options::default())?;
//! database.migrate(MIGRATIONS).await?;
//! let users: i64 = match database.engine() {
//!     Engine::Sqlite(sqlite) => {
//!         let count = sqlx::query_scalar("SELECT count(*) FROM users");
//!         database.query("SELECT", "users", count.fetch_one(sqlite.reader())).await?
//!     }
//!     Engine::Postgres(postgres) => {
//!         let count = sqlx::query_scalar("SELECT count(*) FROM users");
//!         database.query("SELECT", "users", count.fetch_one(postgres.pool())).await?
//!     }
//! };
//! assert_eq!(users, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it does not do: no ORM, no query builder, no SQL that pretends to be portable; two engines
//! are two dialects, and the store's conformance suite keeps them equal.

mod dialects;

mod options;
pub use options::{InvalidOption, Options};

mod database;
pub use database::{Database, Engine};

mod url;
pub use url::OpenError;

mod sqlite;
pub use sqlite::Sqlite;

mod postgres;
pub use postgres::Postgres;

mod error;
pub use error::{Cause, Error};

mod migrate;
pub use migrate::{MigrateError, Migration, Schema};

mod transaction;
pub use transaction::Transaction;

mod changes;
pub use changes::{Changes, Watcher};

mod horizon;
pub use horizon::Horizon;
