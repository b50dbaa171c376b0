//! How tokens are verified.

pub use regatta_auth::Keys;
use regatta_auth::Trust;
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

impl Auth {
    /// The same in the words of the crate that verifies.
    pub(crate) fn trust(&self) -> Trust {
        Trust {
            secret: self.secret.clone(),
            published: self.keys.clone(),
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            ..Trust::default()
        }
    }

    /// Whether both verify alike.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let secret = |auth: &Self| auth.secret.as_ref().map(|secret| secret.expose().to_owned());
        secret(self) == secret(other)
            && self.keys == other.keys
            && self.issuer == other.issuer
            && self.audience == other.audience
    }
}
