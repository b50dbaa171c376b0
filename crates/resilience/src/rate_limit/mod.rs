//! Admits at most so many calls per client in every window.
//!
//! [`SlidingWindow`] is exact: it remembers when each admitted call came, so there is no instant at
//! which twice the limit passes, as at the seam of fixed windows. Its memory is bounded whatever
//! the number of clients; see there.

mod window;
pub use window::Decision;

mod index;

mod shard;

mod limiter;
pub use limiter::{InvalidSettings, Settings, SlidingWindow};

mod error;
pub use error::RateLimited;

mod layer;
pub use layer::RateLimitLayer;

mod service;
pub use service::{RateLimit, ResponseFuture};
