//! The control plane's own figures, as Prometheus text.

mod counters;
pub(crate) use counters::{Blocked, Metrics};

mod histogram;
pub(crate) use histogram::Histogram;

mod process;
pub(crate) use process::process;

mod text;
pub(crate) use text::Text;
