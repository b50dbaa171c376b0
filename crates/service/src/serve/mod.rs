//! What the chassis does around each request, before and after its handler.

mod body;
mod convert;
mod future;
mod service;

pub(crate) use service::{Rules, Serve};
