//! Bounds the calls in flight, and who waits or is turned away.
//!
//! A [`Limit`] admits so many calls at a time (a *bulkhead*): a dependency that hangs takes up so
//! much of its caller and no more. A few more wait, bounded in number and in time; the rest are
//! turned away at once, the least urgent first. The limit is fixed, or follows the latency
//! ([`Adaptive`]).

mod settings;
pub use settings::{Adaptive, InvalidSettings, Settings};

mod priority;
pub use priority::{InvalidPriority, Priority};

mod gate;

mod gradient;

mod error;
pub use error::Rejected;

mod handle;
pub use handle::{Ending, Limit, Permit};

mod future;
pub use future::Acquire;

mod layer;
pub use layer::{LimitLayer, Prioritise};

mod service;
pub use service::{LimitService, ResponseFuture};
