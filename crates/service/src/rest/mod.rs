//! REST: extractors and answers that speak problem details.

mod problem;
pub(crate) use problem::IsProblem;
pub use problem::Problem;

mod object;

mod extract;
pub(crate) use extract::body_too_large;
pub use extract::{Json, Path, Query};
