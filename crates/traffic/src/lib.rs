//! Traffic rules: which route, which subset, which instance.
//!
//! Pure decisions over immutable snapshots, shared by the client and the gateway: a
//! [`route::Table`] finds the first rule that matches a method and a path, a [`subset::Split`]
//! shares calls between versions by weight, and a [`balance::Balancer`] picks an instance without a
//! lock.
//!
//! ```
//! use regatta_core::{Endpoint, Instance};
//! use regatta_traffic::balance::{Balancer, Strategy};
//!
//! let endpoint: Endpoint = "127.0.0.1:8080".parse()?;
//! let instances = vec![Instance::new("user-service".parse()?, endpoint)];
//! let balancer = Balancer::new(Strategy::RoundRobin, instances.into(), 0);
//! let picked = balancer.pick(0, |_| true)?;
//! assert_eq!(balancer.instances()[picked].endpoint.port(), 8080);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It opens no connection and watches nothing; whoever holds a snapshot swaps it.

pub mod balance;
pub mod cluster;
pub mod route;
pub mod subset;
