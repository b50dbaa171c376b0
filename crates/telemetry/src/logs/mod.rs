//! The process's own log: lines on standard output, records to the collector.

mod install;
pub(crate) use install::install;

mod fields;
mod line;
mod push;
