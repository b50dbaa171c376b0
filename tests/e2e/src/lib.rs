//! The whole system, driven from outside by clients that know only its ports.
//!
//! A [`System`] is the reference manifest, started by `regatta up --isolated --detach` in a folder of
//! its own and taken down with the test. The programs must be built: `cargo build --workspace
//! --bins`, which `cargo xtask test` does.

mod programs;
pub use programs::{Program, python, root};

mod system;
pub use system::{Part, System, reference_manifest};

mod caller;
pub use caller::{Answer, Caller};

mod traffic;
pub use traffic::{Report, Traffic};

pub mod kill;

mod rsa;
pub use rsa::{RsaKey, unix_now, unsigned};
