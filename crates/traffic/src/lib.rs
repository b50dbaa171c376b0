//! Traffic rules: whose call, which route, which version, which instance.
//!
//! Pure decisions over immutable snapshots, shared by the client and the gateway: a
//! [`route::Table`] finds the first rule that matches a method and a path, and a
//! [`cluster::Cluster`] holds what is known of a service's instances and picks one for a call
//! without a lock, by one of the [`balance::Strategy`]s and the versions' [`subset::Weights`]. How a
//! call ended, and whether it may be repeated, says a [`verdict::Verdict`], and of a gRPC answer its end
//! ([`answer`]). Whose call it is, for limits, says a [`clients::Key`].
//!
//! ```
//! use regatta_traffic::route::{Found, Table};
//!
//! let table = Table::builder().try_rule(["GET"], "/users/{id}", "one user")?.build();
//! assert!(matches!(table.find("GET", "/users/42"), Found::Rule(_, &"one user")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It opens no connection, has no clock and watches nothing; whoever holds a cluster hands it each
//! new set of instances.

pub mod answer;
pub mod balance;
pub mod clients;
pub mod cluster;
pub mod fault;
pub mod retry_info;
pub mod route;
pub mod subset;
pub mod verdict;
