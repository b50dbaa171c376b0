//! Discovery by DNS: SRV records, or addresses at a fixed port.
//!
//! A [`DnsRegistry`] looks up a name for each service that is watched, again and again as the
//! records' time to live says, and keeps the last known instances while no server answers.
//!
//! ```no_run
//! use regatta_discovery::Discover;
//! use regatta_discovery_dns::{DnsRegistry, Options};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "dns:{service}.shop.svc.cluster.local:8080";
//! let registry = DnsRegistry::try_new(url, Options::default())?;
//! let users = registry.watch(&"user-service".parse()?);
//! let set = users.first(std::time::Duration::from_secs(2)).await;
//! # Ok(())
//! # }
//! ```
//!
//! | URL | what is looked up |
//! |---|---|
//! | `dns:{service}:8080` | A and AAAA of the service's name (with the system's search domains); port 8080 |
//! | `dns:_http._tcp.{service}.shop.svc.cluster.local` | SRV: targets, ports and weights |
//! | `dns://127.0.0.1:8600/{service}.service.consul` | SRV at this server, here Consul's own |
//!
//! It registers nothing: whoever runs the zone does. Versions, zones and metadata have no place in
//! these records, so instances have none.

mod options;
pub use options::{InvalidOptions, Options};

mod pattern;
pub use pattern::InvalidUrl;

mod registry;
pub use registry::{DnsRegistry, OpenError};

mod lookup;
mod poll;
mod records;
mod rhythm;
