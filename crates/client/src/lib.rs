//! Calls another service: discover, choose, protect, connect, repeat if safe.
//!
//! A [`Client`] holds what all calls of a process share. [`Client::service`] is for HTTP,
//! [`Client::channel`] for a tonic client; both pick an instance that discovery reports, keep away
//! from those that fail, bound each try and the whole call in time, repeat what is safe to repeat
//! elsewhere, and pass the request's context on.
//!
//! ```
//! use std::sync::Arc;
//! use regatta_client::{Client, Options};
//! use regatta_discovery::StaticRegistry;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let registry: StaticRegistry = "static:order-service=127.0.0.1:8081".parse()?;
//! let client = Client::try_new(Arc::new(registry), Options::default())?;
//! let orders = client.service("order-service")?;
//! let order: serde_json::Value = orders.get("/orders/42").send().await?.json().await?;
//! # let _ = order;
//! # Ok(())
//! # }
//! ```
//!
//! Concepts, in the order a call meets them: the *deadline* (the caller's, or [`Options::timeout`]),
//! the *room* among the calls in flight ([`Options::concurrency`]), the *instance* and its *breaker*
//! ([`Options::cluster`]), the *try* with its own timeout, the *hedge* of a slow read
//! ([`Options::hedge`]), and the *retry* under a *budget* per service. [`Policies`] has other options
//! for some services. `docs/guide/calling-services.md` has all defaults with their reasons.
//!
//! It does not speak TLS, follow redirects, decompress or cache.

mod options;
pub use options::{InvalidOptions, Options};

mod policies;
pub use policies::{InvalidPolicies, Policies};

mod client;
pub use client::Client;

mod service_client;
pub use service_client::ServiceClient;

mod request;
pub use request::RequestBuilder;

mod response;
pub use response::Response;

mod body;
pub use body::ResponseBody;

mod stream;
pub use stream::BytesStream;

mod channel;
pub use channel::{Channel, ResponseFuture};

mod transport;
pub use transport::{Connect, Stream, TcpConnector};

mod error;
pub use error::{Error, OverrideError, Rejected};

mod attempt;
mod call;
mod classify;
mod course;
mod feed;
mod hedged;
mod metrics;
mod replay;
mod target;
mod upload;
