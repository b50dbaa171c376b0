//! One operating-system process: how it starts, who it is, how it ends.

pub(crate) mod identity;
pub use identity::Identity;

mod launch;
pub(crate) use launch::{Launcher, Spec};

mod end;
pub(crate) use end::{end_all, end_group, signal_group};
