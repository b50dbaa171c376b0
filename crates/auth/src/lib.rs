//! Issues and verifies tokens, guards routes by role.
//!
//! A token is a JWT in a JWS (RFC 7515, RFC 7519). Which algorithm verifies it is a property of the
//! key, never of the token, so there is no `none` and no way to pass an RSA public key off as an
//! HMAC secret. `exp` is required; issuer and audience are required in the token once they are
//! configured.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use regatta_auth::{Grant, Issuer, SigningKey, Verifier};
//! use regatta_core::Secret;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = Secret::new("a secret of at least thirty-two bytes");
//! let key = SigningKey::hs256(&secret)?;
//! let verifier = Verifier::builder().key(key.verifying_key()?).issuer("dev").build()?;
//!
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
//! let token = Issuer::new(key).issuer("dev").issue(&Grant::new("1").role("user"), now)?;
//! let claims = verifier.verify(&token, now)?;
//! assert_eq!(claims.user_id(), "1");
//! assert!(claims.has_role("user"));
//! # Ok(())
//! # }
//! ```
//!
//! An issuer that publishes its keys (JWKS) and rotates them is followed by a [`KeyRing`], which
//! layers take in place of a verifier.
//!
//! What it does not do: encrypted tokens (JWE), logging in, refresh tokens.

mod algorithm;
pub use algorithm::Algorithm;

mod key;
pub use key::{InvalidKey, SigningKey, VerifyingKey};

mod claims;
pub use claims::Claims;

mod reason;
pub use reason::Reason;

mod rejection;
pub use rejection::Rejection;

mod token;

mod verifier;
pub use verifier::{Builder, InvalidVerifier, Verifier};

mod cache;

mod issuer;
pub use issuer::{Grant, IssueError, Issuer};

mod bearer;
pub use bearer::bearer;

mod clock;
pub use clock::now;

mod layer;
pub use layer::{Auth, AuthFuture, AuthLayer, RequireRole};

mod extract;

mod key_set;
pub use key_set::{InvalidKeySet, key_set};

mod keys;
pub use keys::{InvalidLocation, InvalidTrust, KeyRing, Keys, KeysError, Trust};

mod jwks;
pub use jwks::{JWKS_MEDIA_TYPE, JWKS_PATH, jwks};
