//! Consul's HTTP API over the registry.

mod agent;
mod agent_checks;
mod agent_health;
mod app;
mod backup;
mod blocking;
mod body;
mod bounds;
mod catalog;
mod decode;
mod definitions;
mod encode;
mod event;
mod events;
mod failure;
mod fields;
mod guard;
mod health;
mod kv;
mod kv_wire;
mod methods;
mod needs;
mod owners;
mod path;
mod query;
mod read_idle;
mod visible;

mod routes;
mod session;
mod txn;
mod web_pages;

pub(crate) use app::{App, Identity};
pub(crate) use bounds::Bounds;
pub(crate) use events::Events;
pub use read_idle::read_idle;
pub(crate) use routes::router;
