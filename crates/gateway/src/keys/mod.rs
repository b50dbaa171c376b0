//! The keys that tokens are verified with: a secret, a file, an issuer's key set.

mod ring;
mod schedule;
mod source;
pub(crate) use ring::KeyRing;
