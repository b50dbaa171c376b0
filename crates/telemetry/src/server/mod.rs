//! Requests that come in: one context, one span, one measurement each.

mod exchange;
pub use exchange::{Exchange, Head};

mod route;
pub use route::Route;

mod probed;
pub use probed::Probed;

mod matched;
pub use matched::{NoteRoute, RouteLayer};

mod layer;
pub use layer::ServerLayer;

mod service;
pub use service::{Serve, ServeFuture};

mod body;
pub use body::Observed;
