//! The config center over etcd's version 3 gRPC interface.
//!
//! [`EtcdCenter`] is the one client of Regatta's embedded control plane and of a real etcd. It
//! connects when it is first asked, keeps one connection to the endpoint that answers, and goes on to
//! the next endpoint when that stops.
//!
//! ```no_run
//! use regatta_config::center::ConfigCenter;
//! use regatta_config_etcd::{EtcdCenter, Options};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let center = EtcdCenter::try_new("etcd://127.0.0.1:2379", Options::default())?;
//! let greeting = center.get("/shop/greeting").await?;
//! # Ok(())
//! # }
//! ```
//!
//! | URL | means |
//! |---|---|
//! | `etcd://host:2379`, `http://host:2379`, `host:2379` | plain |
//! | `etcds://host:2379`, `https://host:2379` | TLS; [`Options::ca_pem`] says whom to trust |
//! | `etcd://user:password@host:2379` | logs in |
//! | `etcd://a:2379,b:2379` | several endpoints of one cluster |
//!
//! Values that are no UTF-8 are read with replacement characters.

mod options;
pub use options::{InvalidOptions, Options};

mod center;
pub use center::EtcdCenter;

mod address;
mod link;
mod status;
mod watch;
mod wire;
