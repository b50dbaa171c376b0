//! One store for both interfaces: opens it, and leads into the registry.

mod engine;
pub(crate) use engine::{Engine, SubmitError};

mod opened;
pub(crate) use opened::{Opened, Own, open_store};
