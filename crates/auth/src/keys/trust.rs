//! Whose tokens are believed, and why that cannot be.

use std::time::Duration;

use regatta_core::Secret;

use super::{Keys, KeysError};
use crate::{InvalidKey, InvalidVerifier, Verifier, VerifyingKey};

/// Whose tokens are believed: those signed with a secret (HS256), with keys that are known, or with
/// those an issuer publishes. The key decides the algorithm, never the token.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The secret, 32 bytes or more. Default none.
    pub secret: Option<Secret>,
    /// Keys that do not change while the program runs. Default none.
    pub fixed: Vec<VerifyingKey>,
    /// Where keys are published that may change. Default none.
    pub published: Option<Keys>,
    /// The `iss` a token must have. Default none: any.
    pub issuer: Option<String>,
    /// The `aud` a token must have. Default none: tokens that name no audience.
    pub audience: Option<String>,
    /// How far clocks may differ. Default [`Verifier::LEEWAY`]; at most 10 min.
    pub leeway: Duration,
}

/// Nobody's tokens can be verified so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTrust {
    /// Neither secret nor key.
    #[error("no key is set; set a secret or a key set")]
    NoKey,
    /// The secret is too short.
    #[error("the secret cannot be used")]
    Secret(#[source] InvalidKey),
    /// The file with the key set cannot be read, or is none.
    #[error("the key set cannot be used")]
    Keys(#[source] KeysError),
    /// The settings do not fit together.
    #[error("the rules for tokens do not fit together")]
    Verifier(#[source] InvalidVerifier),
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            secret: None,
            fixed: Vec::new(),
            published: None,
            issuer: None,
            audience: None,
            leeway: Verifier::LEEWAY,
        }
    }
}

impl Trust {
    /// Whether there is a key beside those that are published.
    pub(super) fn has_own_key(&self) -> bool {
        self.secret.is_some() || !self.fixed.is_empty()
    }

    /// The verifier with these keys of the published ones.
    pub(super) fn verifier(&self, published: Vec<VerifyingKey>) -> Result<Verifier, InvalidTrust> {
        let mut builder = Verifier::builder().leeway(self.leeway);
        if let Some(secret) = &self.secret {
            builder = builder.key(VerifyingKey::hs256(secret).map_err(InvalidTrust::Secret)?);
        }
        let keys = self.fixed.iter().cloned().chain(published);
        builder = keys.fold(builder, |builder, key| builder.key(key));
        if let Some(issuer) = &self.issuer {
            builder = builder.issuer(issuer.as_str());
        }
        if let Some(audience) = &self.audience {
            builder = builder.audience(audience.as_str());
        }
        builder.build().map_err(InvalidTrust::Verifier)
    }
}
