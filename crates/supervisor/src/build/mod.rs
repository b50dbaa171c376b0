//! Builds the cargo services of a manifest, in one run of cargo.

mod messages;

mod progress;
pub(crate) use progress::Progress;

mod profile;
pub use profile::Profile;

mod scope;

mod cargo;
pub use cargo::BuildError;
pub(crate) use cargo::{Executables, build};
