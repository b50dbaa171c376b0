//! Views: events folded into tables to query, each with its checkpoint in the same transaction.

mod plan;
mod port;
mod projector;
mod standstill;

pub use plan::{Build, Stage, Step};
pub use port::{Effects, Projection, ProjectionError, ProjectionStore};
pub use projector::Projector;
pub use standstill::Overtaken;
