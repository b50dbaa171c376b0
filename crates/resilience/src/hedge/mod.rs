//! Sends a second try of a slow read before the first has failed.
//!
//! After a delay that only the slowest calls take, the same call goes out once more, elsewhere; the
//! first answer counts and the other try is dropped. Only for calls that may be done twice, off
//! unless asked for, and paid from the target's retry budget: in a target that is slow as a whole
//! every call would be hedged.

mod settings;
pub use settings::{InvalidSettings, Settings};

mod histogram;

mod handle;
pub use handle::Hedge;

mod layer;
pub use layer::HedgeLayer;

mod service;
pub use service::{HedgeService, ResponseFuture};
