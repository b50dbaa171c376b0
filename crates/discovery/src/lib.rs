//! Who is alive and where: the ports `Discover` and `Register`.
//!
//! A caller watches a service ([`Discover::watch`]) and reads the latest [`InstanceSet`] as often
//! as it likes, without I/O. The set is kept when the registry is away, and says so by its
//! [`Freshness`]. A process makes itself known through a [`Registrar`], which compares what should
//! be registered with what is, at start, on a timer and after every outage, and never blocks start.
//!
//! ```
//! use regatta_discovery::{Discover, StaticRegistry};
//!
//! let registry: StaticRegistry = "static:user-service=127.0.0.1:8080,127.0.0.1:8081".parse()?;
//! let users = registry.watch(&"user-service".parse()?);
//! assert_eq!(users.current().instances.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | backend | where | for |
//! |---|---|---|
//! | [`MemoryRegistry`] | here | tests, several services in one process |
//! | [`StaticRegistry`] | here | fixed addresses, no registry |
//! | `ConsulRegistry` | `regatta-discovery-consul` | Regatta's control plane, HashiCorp Consul |
//! | `DnsRegistry` | `regatta-discovery-dns` | Kubernetes, Consul's DNS, any zone |
//!
//! [`Scheme`] says which of them a URL means.
//!
//! | feature | effect | default |
//! |---|---|---|
//! | `conformance` | the checks that every backend must pass | off |
//!
//! It does no health checking of its own and knows no HTTP: backends do.

mod instance_set;
pub use instance_set::{Freshness, InstanceSet};

mod watch;
pub use watch::{Publisher, Watch};

mod discover;
pub use discover::Discover;

mod last_known;
pub use last_known::LastKnown;

mod register;
pub use register::{Check, Probe, Register, RegisterError, Registration};

mod registrar;
pub use registrar::{InvalidSettings, Registrar, RegistrarHandle, RegistrarSettings, Standing};

mod polls;
pub use polls::Polls;

mod scheme;
pub use scheme::{Scheme, UnknownScheme};

mod memory;
pub use memory::MemoryRegistry;

mod fixed;
pub use fixed::{InvalidStatic, StaticRegistry};

#[cfg(feature = "conformance")]
pub mod conformance;
