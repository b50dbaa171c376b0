//! Consul's keys: values, locks and the rules of changing them.

mod pair;
pub(crate) use pair::Pair;

mod held;
pub(crate) use held::Keys;

mod operation;
pub(crate) use operation::{Conflict, KeyOperation, Outcome, Write};

mod draft;
pub(crate) use draft::Draft;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
