//! Admits at most so many calls per client in every window.
//!
//! [`SlidingWindow`] is exact: it remembers when each admitted call came, so there is no instant at
//! which twice the limit passes, as at the seam of fixed windows. [`Gcra`] remembers one number per
//! client and has callers come evenly. [`Limiter`] is either. Their memory is bounded whatever the
//! number of clients; see there. A [`SharedLimiter`] is one that several processes share.

mod settings;
pub use settings::{InvalidSettings, Settings};

mod decision;
pub use decision::Decision;

mod window;

mod gcra;

mod index;

mod shard;

mod keyed;

mod sliding_window;
pub use sliding_window::SlidingWindow;

mod paced;
pub use paced::Gcra;

mod limiter;
pub use limiter::{Algorithm, Limiter};

mod shared;
pub use shared::{OnOutage, SharedLimiter, Steadfast, Unavailable, Verdict};

#[cfg(feature = "conformance")]
pub mod conformance;

mod error;
pub use error::RateLimited;

mod layer;
pub use layer::RateLimitLayer;

mod service;
pub use service::{RateLimit, ResponseFuture};
