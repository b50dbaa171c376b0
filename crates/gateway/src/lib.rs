//! Reverse proxy: one runtime per core, policies as typed stages.
//!
//! A [`Gateway`] takes `/{service}{path}` to an instance of the service. Each core accepts, decides
//! and forwards on its own: nothing a request needs is shared but the rules, an immutable snapshot.
//! HTTP/1.1 is our own ([`http1`]); HTTP/2 and gRPC are hyper's. What is decided about a request is
//! decided once, by functions without I/O, for both.
//!
//! ```no_run
//! use std::sync::Arc;
//! use regatta_discovery::StaticRegistry;
//! use regatta_gateway::{Gateway, Service, Settings};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let registry: StaticRegistry = "static:user-service=127.0.0.1:8081".parse()?;
//! let mut settings = Settings::default();
//! settings.services = vec![Service::new("user-service".parse()?)];
//! let gateway = Gateway::bind(settings, Arc::new(registry)).await?;
//! println!("http://{}", gateway.addr());
//! gateway.run(CancellationToken::new()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What it does not do: TLS, HTTP/3, response caching, compression, WebSocket over HTTP/2.

mod gateway;
pub use gateway::Gateway;
mod live;
pub use live::{Applied, Handle};
mod settings;
pub use regatta_traffic::clients::{InvalidNetwork, Network, OnOutage};
pub use settings::{
    Access, AccessLog, Auth, Keys, LimitKey, Limits, RateLimit, Retry, Route, Service, Settings,
    Timeouts, Traffic,
};
mod error;
pub use error::{BindError, InvalidSettings};
mod access_log;
mod admin;
mod gauges;
mod grpc;
mod health;
pub mod http1;
mod http2;
mod metrics;
mod policy;
mod record;
mod shared;
mod spans;
mod upstream;
mod worker;
