//! Layers that let only authenticated and authorised requests through.

mod auth;
pub use auth::AuthLayer;

mod role;
pub use role::RequireRole;

mod service;
pub use service::{Auth, AuthFuture};
