//! The words every other crate speaks; no I/O, no runtime.
//!
//! A [`ServiceName`] is what callers use; an [`Instance`] is one process of it, reachable at an
//! [`Endpoint`]. A request carries a [`Context`]: its trace, its [`Deadline`], its request id. What
//! goes wrong is a [`Problem`] towards the client and a [`Chain`] of causes towards the log, and
//! [`Code`] is the one table between HTTP statuses and gRPC codes.
//!
//! ```
//! use regatta_core::{Endpoint, Instance, ServiceName};
//!
//! let name: ServiceName = "user-service".parse()?;
//! let endpoint: Endpoint = "127.0.0.1:8080".parse()?;
//! let instance = Instance::new(name, endpoint).with_version("v1");
//! assert_eq!(instance.version.as_deref(), Some("v1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod name;
pub use name::{InstanceId, InvalidName, ServiceName};

mod endpoint;
pub use endpoint::{Endpoint, InvalidEndpoint};

mod instance;
pub use instance::Instance;

mod deadline;
pub use deadline::Deadline;

mod timeout_header;
pub use timeout_header::{
    ENVOY_TIMEOUT, GRPC_TIMEOUT, format_grpc_timeout, parse_grpc_timeout, parse_millis,
};

mod urgency;
pub use urgency::{PRIORITY, parse_urgency};

mod trace;
pub use trace::{InvalidTrace, TraceContext};

mod context;
pub use context::{Context, InContext};

mod code;
pub use code::Code;

mod problem;
pub use problem::Problem;

mod origin;
pub use origin::Origin;

mod chain;
pub use chain::Chain;

mod secret;
pub use secret::Secret;
