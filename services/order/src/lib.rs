//! The order-service of the reference system: orders over REST.
//!
//! `domain` holds the rules and the ports, `store` keeps orders in SQLite or PostgreSQL, `peers`
//! asks the other services, `api` speaks to clients. The domain knows none of the others.

pub mod domain;

pub mod store;

pub mod peers;

pub mod api;
