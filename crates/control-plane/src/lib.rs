//! The control plane: a durable service registry in Consul's HTTP API.

mod settings;
pub use settings::{InvalidSettings, Settings};

mod server;
pub use server::{BindError, ControlPlane};
