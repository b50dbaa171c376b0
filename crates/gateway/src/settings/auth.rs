//! How tokens are verified.

use std::fmt;
use std::path::PathBuf;

use regatta_core::Secret;

/// How tokens are verified: with a secret (HS256), with an issuer's public keys (RS256, ES256,
/// EdDSA), or with either. The key decides the algorithm, never the token. Clocks may differ by
/// [`regatta_auth::Verifier::LEEWAY`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Auth {
    /// The secret, 32 bytes or more; none when tokens are signed with keys only.
    pub secret: Option<Secret>,
    /// Where the public keys are; none when tokens are signed with the secret only.
    pub keys: Option<Keys>,
    /// The `iss` a token must have; none for any.
    pub issuer: Option<String>,
    /// The `aud` a token must have; none for tokens that name no audience.
    pub audience: Option<String>,
}

impl Auth {
    /// Verifies with this secret; any issuer and no audience.
    pub fn new(secret: Secret) -> Self {
        Self { secret: Some(secret), keys: None, issuer: None, audience: None }
    }

    /// Verifies with these keys; any issuer and no audience.
    pub fn with_keys(keys: Keys) -> Self {
        Self { secret: None, keys: Some(keys), issuer: None, audience: None }
    }
}

/// Where an issuer's public keys are published.
///
/// They are read again while the gateway runs, so that an issuer can rotate them: on a schedule
/// (file 10 s, URL 5 min), and at once when a token names a key that is not known, at most once in
/// 10 s. While they cannot be read the last known ones stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// A file with a JWKS document or one public key in PEM. It must be there at the start.
    File(PathBuf),
    /// A URL of a JWKS document. It may be away at the start: until it answers, paths that need a
    /// token are 503.
    Url(String),
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(url),
        }
    }
}
