//! The config center of a service: its settings above all others, followed while it runs.

mod open;
pub(crate) use open::{Found, Opened};

mod kept;
pub(crate) use kept::Kept;

mod feed;
pub(crate) use feed::Feed;

mod live;
pub(crate) use live::Live;
pub use live::Watched;

mod standing;
pub(crate) use standing::Standing;

mod report;
pub(crate) use report::Reporter;

mod totals;

mod service;
