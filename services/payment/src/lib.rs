//! The payment-service of the reference system: payments over REST.
//!
//! `domain` holds the rules and the port to the store, `store` keeps payments in SQLite or
//! PostgreSQL, `api` speaks to clients. The domain knows neither of the others.

pub mod domain;

pub mod store;

pub mod api;

pub mod settings;
