//! The chassis of a service: settings, telemetry, discovery, one port, a polite end.
//!
//! A [`Service`] is opened from its settings, given what it serves, and run:
//!
//! ```no_run
//! use regatta::axum::{Router, routing::get};
//!
//! #[tokio::main]
//! async fn main() -> regatta::Result {
//!     let service = regatta::Service::new("hello-service").await?;
//!     let routes = Router::new().route("/hello", get(async || "hello"));
//!     service.rest(routes).run().await
//! }
//! ```
//!
//! It reads all its [`settings`](mod@settings) at once and says all that is wrong with them; opens what the
//! service needs ([`Service::database`], [`Service::client`], [`Service::auth`]) without waiting
//! for any of it; serves REST and gRPC on one port with limits ([`settings::ServerSettings`]),
//! health, metrics and descriptions; answers every error as a [`Problem`]; registers, and drains
//! at SIGTERM so that no request is lost. [`testing`] runs it in tests. The guide is
//! `docs/guide/service.md`.
//!
//! | feature | effect | default |
//! |---|---|---|
//! | `cache` | [`Service::cache`]: in memory, or in Redis by URL | on |
//! | `database` | [`Service::database`]: SQLite and PostgreSQL by URL | on |
//! | `nats` | [`Service::events`] on NATS JetStream too | off |
//! | `events` | [`Service::events`], [`Service::event_store`]: buses by URL, event sourcing | on |
//!
//! It does not speak TLS (a gateway or a mesh in front does), and prints no line per request at
//! level `info`: the metric and the span say more.

mod error;
pub use error::{Error, Result};

mod service;
pub use service::Service;

mod builder;
pub use builder::Builder;

mod run;
pub use run::Server;

mod routes;
pub use routes::Rest;

mod rest;
pub use rest::{Json, Path, Problem, Query};

mod guard;
pub use guard::{Guard, InvalidGuard};

mod tasks;
pub use tasks::Tasks;

#[cfg(feature = "events")]
mod bus_and_store;
#[cfg(feature = "events")]
pub use bus_and_store::Events;

mod center;
pub use center::Watched;

pub mod settings;

pub mod testing;

mod admin;
mod app;
#[cfg(feature = "cache")]
mod caching;
mod drain;
mod health;
mod identity;
mod limits;
mod metrics;
#[cfg(feature = "database")]
mod migrate;
mod openapi;
mod registry;
mod reload;
mod serve;
mod server;
mod show;
mod signals;

pub use regatta_auth as auth;
#[cfg(feature = "cache")]
pub use regatta_cache as cache;
pub use regatta_client as client;
pub use regatta_config::{self as config, Config, choices, settings};
pub use regatta_core::{Code, Context, Deadline, Secret, ServiceName};
#[cfg(feature = "database")]
pub use regatta_database as database;
pub use regatta_telemetry as telemetry;
pub use tokio_util::sync::CancellationToken;
pub use {axum, http, tonic, tracing, utoipa, utoipa_axum};
#[cfg(feature = "events")]
pub use {
    regatta_events as events, regatta_eventstore as eventstore,
    regatta_eventstore_sql as eventstore_sql,
};
