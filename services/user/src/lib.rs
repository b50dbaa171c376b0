//! The user-service of the reference system: users over REST and gRPC.
//!
//! `domain` holds the rules and the port to the store, `store` keeps users in SQLite or PostgreSQL,
//! `api` speaks to clients. The domain knows neither of the others.

pub mod domain;

pub mod store;

pub mod api;
