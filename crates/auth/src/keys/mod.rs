//! Keys as they are published, read again when their issuer rotates them.

mod location;
pub use location::{InvalidLocation, Keys};

mod schedule;

mod source;
pub use source::KeysError;

mod trust;
pub use trust::{InvalidTrust, Trust};

mod ring;
pub use ring::KeyRing;
