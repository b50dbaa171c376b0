//! Leave to act for a caller, as a token of our own making.

use std::time::Duration;

use regatta::Secret;
use regatta::auth::{Grant, InvalidKey, Issuer, SigningKey, now};

use crate::domain::{Authority, Deputy, PeerError};

/// How long a token is good: one call with its retries.
const LIFETIME: Duration = Duration::from_secs(60);

/// Signs tokens with the secret that issuer and services share.
///
/// Whoever holds that secret may issue for anybody; where tokens are signed with a private key, no
/// service holds it, and there is no deputy.
pub struct TokenDeputy {
    issuer: Issuer,
}

impl TokenDeputy {
    /// Signs with this secret, as this issuer and for this audience where tokens name them.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] when the secret is too short.
    pub fn try_new(
        secret: &Secret,
        issuer: Option<&str>,
        audience: Option<&str>,
    ) -> Result<Self, InvalidKey> {
        let mut tokens = Issuer::new(SigningKey::hs256(secret)?).lifetime(LIFETIME);
        if let Some(issuer) = issuer {
            tokens = tokens.issuer(issuer);
        }
        if let Some(audience) = audience {
            tokens = tokens.audience(audience);
        }
        Ok(Self { issuer: tokens })
    }
}

impl Deputy for TokenDeputy {
    fn authority(&self, caller: &str) -> Result<Authority, PeerError> {
        let token = self.issuer.issue(&Grant::new(caller).roles(["user"]), now());
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| PeerError::Broken {
            service: "payment-service",
            source,
        };
        token.map(Authority::new).map_err(|error| broken(error.into()))
    }
}
