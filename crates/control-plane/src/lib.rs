//! The control plane: a service registry and a key-value store, both durable.
//!
//! Services register here and are probed from here; callers list them or wait for changes in
//! blocking queries. Clients of HashiCorp's Consul work unmodified with the part of its API that is
//! offered: agent, catalog, health, keys with locks, sessions, events, transactions, status. With
//! [`EtcdSettings::listen`] set, clients of etcd's version 3 gRPC API find keys, transactions,
//! watches, leases, locks and elections there. With [`DnsSettings::listen`] set, `NAME.service.consul` and its like are answered
//! over DNS.
//!
//! ```no_run
//! use regatta_control_plane::{ControlPlane, Settings};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let control_plane = ControlPlane::bind(Settings::default()).await?;
//! println!("http://{}/v1/catalog/services", control_plane.addr());
//! control_plane.run(CancellationToken::new()).await;
//! # Ok(())
//! # }
//! ```
//!
//! A write is answered after it is on the disk; writes that come together share one fsync. Indexes
//! never go backwards, also over restarts. The rules (what a command changes, which queries it
//! wakes, when a check is due) are pure; one task writes, one schedules checks.
//!
//! Both interfaces share one log on the disk and one commit; each has its own keys and its own order
//! of revisions. etcd's keys have versions, all in memory; old ones are compacted by age and by size.
//!
//! Listening beyond this machine takes an access file ([`Settings::access`]): tokens for Consul's
//! clients, users for etcd's, with rules per prefix. [`Settings::tls`] encrypts both interfaces.
//!
//! It offers no clustering.

mod settings;
pub use settings::{DnsSettings, EtcdSettings, InvalidSettings, KvSettings, Settings};

mod access;
pub use access::{AccessError, Secret, draw_token, hash_password, hash_token};

mod tls;
pub use tls::{TlsError, TlsSettings};

mod client_tls;
pub use client_tls::{ClientIdentity, ClientTls, ClientTlsError};

mod server;
pub use server::{BindError, ControlPlane};

pub mod transfer;

#[cfg(any(feature = "fuzzing", test))]
#[doc(hidden)]
pub mod fuzzing;

pub mod backup;

mod accept;
mod advertise;
mod checks;
mod consul;
#[doc(hidden)]
pub use consul::read_idle;

mod dns;
#[doc(hidden)]
pub use dns::answer_idle;

mod copies;
mod duration;
mod etcd;
mod kv;
mod metrics;
mod private;
mod registry;
mod shared;
mod store;
mod web_pages;
