//! Consul's HTTP API over the registry.

mod agent;
mod agent_checks;
mod agent_health;
mod app;
mod blocking;
mod catalog;
mod decode;
mod encode;
mod failure;
mod fields;
mod guard;
mod health;
mod methods;
mod needs;
mod query;
mod visible;

mod routes;
mod web_pages;

pub(crate) use app::{App, Identity};
pub(crate) use routes::router;
