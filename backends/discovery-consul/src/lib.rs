//! Discovery and registration over Consul's HTTP API.
//!
//! [`ConsulRegistry`] is the one client of Regatta's embedded control plane and of HashiCorp's
//! Consul. Watching is a blocking query ("long poll") per service, shared by all its watchers.
//!
//! ```no_run
//! use regatta_discovery::Discover;
//! use regatta_discovery_consul::{ConsulRegistry, Options};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = ConsulRegistry::try_new("http://127.0.0.1:8500", Options::default())?;
//! let users = registry.watch(&"user-service".parse()?);
//! let set = users.first(std::time::Duration::from_secs(2)).await;
//! # Ok(())
//! # }
//! ```
//!
//! | attribute of an instance | in Consul |
//! |---|---|
//! | version, zone | `Meta.version`, `Meta.zone` |
//! | weight | `Weights.Passing`; 0, which Consul refuses, is `Meta.weight` = `0` |
//! | incarnation | `Meta.incarnation`, else `CreateIndex` |
//! | metadata | `Meta` |
//!
//! It does not balance, retry calls to instances, or cache on disk.

mod options;
pub use options::{InvalidOptions, Options};

mod identity;

mod registry;
pub use registry::ConsulRegistry;

mod transport;
pub use transport::{Transport, TransportError};

mod http;
mod poll;
mod rhythm;
mod wire;
