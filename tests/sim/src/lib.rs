//! The platform in a simulated network whose faults a seed decides.
//!
//! The client, discovery and registrar of a real service run on simulated hosts, over a network
//! that is slow, cut and mended as a test says, on a clock that stands still while nobody waits. All
//! randomness of a simulation comes from its seed, so a failure repeats:
//! `cargo xtask sim --seed 7`.
//!
//! Its registry is a small stand-in that speaks the part of Consul's API that instances and callers
//! use; the control plane itself keeps a file and needs real threads, which a simulation has not.

mod seed;
pub use seed::{each_seed, with_seed};

mod network;
pub use network::{PORT, SimConnector, host_name, instance, network};

mod server;
pub use server::serve;

mod load;
pub use load::{Load, Report};

mod registry;
pub use registry::{REGISTRY, registry};

mod member;
pub use member::{LINGER, run_instance};

pub mod consul;
