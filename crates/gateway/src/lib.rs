//! Reverse proxy: one runtime per core, policies as typed stages.

mod settings;
pub use settings::{
    Access, AccessLog, Auth, Limits, RateLimit, Resilience, Route, Service, Settings, Timeouts,
};
mod network;
pub use network::{InvalidNetwork, Network};
mod error;
pub use error::{BindError, InvalidSettings};
mod gateway;
pub use gateway::Gateway;
