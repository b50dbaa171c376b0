//! Traces, metrics and logs, with W3C context over every hop.
//!
//! [`Telemetry::init`] once at start; [`ServerLayer`] around what serves; [`client::span`] around
//! each call that goes out; [`query`] around each statement. The same instruments feed
//! [`Telemetry::metrics_text`] (Prometheus) and, when an OTLP endpoint is set, the collector.
//!
//! ```
//! use regatta_telemetry::{Identity, Options, Telemetry};
//!
//! let telemetry = Telemetry::init(Identity::new("user-service"), Options::quiet())?;
//! let requests = telemetry.meter().u64_counter("users.created").build();
//! requests.add(1, &[]);
//! assert!(telemetry.metrics_text().contains("users_created_total"));
//! # Ok::<(), regatta_telemetry::Error>(())
//! ```
//!
//! | what | without an endpoint | with one |
//! |---|---|---|
//! | ids, context, request id | yes | yes |
//! | metrics | [`Telemetry::metrics_text`] | and pushed |
//! | spans | not made | one a request, call and query |
//! | logs | standard output | and pushed |
//!
//! What it does not do: spans of the `tracing` crate are fields of log lines, not spans of a trace;
//! wrap what deserves a span in [`within`].

mod identity;
pub use identity::Identity;

mod options;
pub use options::{InvalidOption, LogFormat, LogOptions, Options, Otlp};

mod variables;

mod error;
pub use error::Error;

mod telemetry;
pub use telemetry::Telemetry;

mod machine;
pub use machine::{Load, Machine, timestamp};

mod clock;
mod ids;
mod propagation;
pub use propagation::{ATTEMPT_COUNT, PREVIOUS_ATTEMPTS, REQUEST_ID, inject_deadline};

mod span;
pub use span::{annotate, is_recording};

mod metrics;

mod status;
pub use status::{grpc_name, grpc_status};

mod server;
pub use server::{
    Exchange, Head, NoteRoute, Observed, Probed, Route, RouteLayer, Serve, ServeFuture, ServerLayer,
};

pub mod client;

mod query;
pub use query::{Query, query, query_classified};

mod internal;
pub use internal::{Within, within};

mod export;
mod logs;

pub use opentelemetry;
