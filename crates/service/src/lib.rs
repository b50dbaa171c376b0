//! The chassis of a service.

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

pub mod settings;

pub mod testing;

mod health;
mod identity;
mod metrics;
#[cfg(feature = "database")]
mod migrate;
mod openapi;
mod registry;
mod serve;
mod server;
mod show;
mod signals;

pub use regatta_auth as auth;
pub use regatta_client as client;
pub use regatta_config::{self as config, Config, choices, settings};
pub use regatta_core::{Code, Context, Deadline, Secret, ServiceName};
#[cfg(feature = "database")]
pub use regatta_database as database;
pub use regatta_telemetry as telemetry;
pub use tokio_util::sync::CancellationToken;
pub use {axum, http, tonic, tracing, utoipa, utoipa_axum};
