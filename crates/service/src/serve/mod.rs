//! What the chassis does around each request, before and after its handler.

mod admission;
pub(crate) use admission::{Admission, Door, Peer};

mod blame;
mod body;
mod convert;
mod deadline;

mod future;

mod until;

mod service;
pub(crate) use service::{Rules, Serve};
