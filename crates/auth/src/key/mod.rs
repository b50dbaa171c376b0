//! Keys, each pinned to one algorithm.

mod error;
pub use error::InvalidKey;

mod pem;

mod verifying;
pub use verifying::VerifyingKey;

mod signing;
pub use signing::SigningKey;

pub(crate) mod spki;
