//! Who may do what: tokens, users, rules per prefix, for both interfaces.
//!
//! Rules are pure ([`rules`], [`sessions`]); [`guard`] holds what is in force, and follows the file
//! it came from.

mod rules;
pub(crate) use rules::{Grant, Level, Resource, Rules};

mod secret;
pub use secret::{Secret, draw_token, hash_password, hash_token};

mod policy;

mod file;
#[cfg(any(feature = "fuzzing", test))]
pub(crate) use file::parse;

mod sessions;

mod guard;
pub use guard::AccessError;
pub(crate) use guard::{Access, Denied, Who};

mod follow;
pub(crate) use follow::follow;
