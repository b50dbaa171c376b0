//! Decides whether a token is to be believed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::cache::Cache;
use crate::token::{self, Header, Payload};
use crate::{Claims, Reason, Rejection, VerifyingKey};

/// Most keys of one verifier: a token without a `kid` may be tried against all of one algorithm.
const MOST_KEYS: usize = 64;

/// Longest leeway.
const LONGEST_LEEWAY: Duration = Duration::from_secs(600);

/// Verifies tokens; a cheap handle. It keeps nothing of a caller but a bounded number of tokens
/// that were valid.
#[derive(Clone, Debug)]
pub struct Verifier(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    keys: Vec<VerifyingKey>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    leeway: u64,
    cache: Cache,
}

/// A verifier's settings do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidVerifier {
    /// Without a key no token could ever be valid.
    #[error("no key is set; set a secret or a public key")]
    NoKey,
    /// Two keys could be meant by one `kid`.
    #[error("key id `{id}` is there twice; give each key an id of its own")]
    SameId {
        /// The id.
        id: String,
    },
    /// Too many to try.
    #[error("{count} keys are set; use {MOST_KEYS} or fewer")]
    TooManyKeys {
        /// How many there are.
        count: usize,
    },
    /// The clocks of one system do not differ that much.
    #[error("leeway is {leeway:?}; use {LONGEST_LEEWAY:?} or less")]
    Leeway {
        /// What was given.
        leeway: Duration,
    },
    /// An empty name would be equal to one that was forgotten.
    #[error("{0} is empty; set it or leave it out")]
    Empty(&'static str),
}

/// Collects what a [`Verifier`] accepts.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    keys: Vec<VerifyingKey>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    leeway: Duration,
}

impl Builder {
    /// Accepts tokens of this key; may be repeated, as while keys are rotated.
    pub fn key(mut self, key: VerifyingKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Accepts this `iss` only; repeated, any of them. Default: any issuer and none.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// Accepts tokens for this `aud` only; repeated, any of them.
    ///
    /// Default: tokens without `aud` only, because one that names an audience is not for whoever
    /// has no name (RFC 7519, section 4.1.3).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// How far clocks may differ, in whole seconds. Default [`Verifier::LEEWAY`]; at most 10 min.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidVerifier`] names the first thing that is wrong.
    pub fn build(self) -> Result<Verifier, InvalidVerifier> {
        let Self { keys, issuers, audiences, leeway } = self;
        match keys.len() {
            0 => return Err(InvalidVerifier::NoKey),
            count if count > MOST_KEYS => return Err(InvalidVerifier::TooManyKeys { count }),
            _ => (),
        }
        let ids: Vec<_> = keys.iter().filter_map(VerifyingKey::id).collect();
        if let Some((_, id)) = ids.iter().enumerate().find(|(at, id)| ids[..*at].contains(id)) {
            return Err(InvalidVerifier::SameId { id: (*id).to_owned() });
        }
        if leeway > LONGEST_LEEWAY {
            return Err(InvalidVerifier::Leeway { leeway });
        }
        for (name, values) in [("issuer", &issuers), ("audience", &audiences)] {
            if values.iter().any(String::is_empty) {
                return Err(InvalidVerifier::Empty(name));
            }
        }
        let cache = Cache::new();
        let leeway = leeway.as_secs();
        Ok(Verifier(Arc::new(Rules { keys, issuers, audiences, leeway, cache })))
    }
}

impl Verifier {
    /// How far clocks may differ unless it is set: 30 s, for gateway and services alike.
    pub const LEEWAY: Duration = Duration::from_secs(30);

    /// Starts from no keys, any issuer, no audience and [`Verifier::LEEWAY`].
    pub fn builder() -> Builder {
        Builder {
            keys: Vec::new(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: Self::LEEWAY,
        }
    }

    /// The claims of a token that is valid at `now`. Neither waits nor locks what others hold.
    ///
    /// # Errors
    ///
    /// [`Rejection::Invalid`] or [`Rejection::Expired`].
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Claims, Rejection> {
        let rules = &*self.0;
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claims = match rules.cache.get(token) {
            Some(claims) => claims,
            None => rules.read(token)?,
        };
        rules.check_time(&claims, now)?;
        Ok(claims)
    }

    /// The keys that it accepts.
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.0.keys
    }
}

impl Rules {
    /// The claims of a token whose signature, issuer and audience are right.
    fn read(&self, token: &str) -> Result<Claims, Reason> {
        let parts = token::split(token)?;
        let header = token::header(parts.header)?;
        let signature = token::decode(parts.signature)?;
        self.verify_signature(&header, parts.signed.as_bytes(), &signature)?;
        let payload = token::payload(parts.payload)?;
        self.check_names(&payload)?;
        let claims = Claims::new(payload.said);
        self.cache.put(token, &claims);
        Ok(claims)
    }

    /// Checks the signature by one of the keys that the header allows.
    fn verify_signature(
        &self,
        header: &Header,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), Reason> {
        let may_be_meant = |key: &&VerifyingKey| match (key.id(), header.key_id.as_deref()) {
            // The key's algorithm decides; that the token names it too only lets it apply.
            _ if key.algorithm() != header.algorithm => false,
            (Some(id), Some(asked)) => id == asked,
            (None, _) | (_, None) => true,
        };
        let mut candidates = self.keys.iter().filter(may_be_meant).peekable();
        if candidates.peek().is_none() {
            let is_known = self.keys.iter().any(|key| key.algorithm() == header.algorithm);
            return Err(if is_known { Reason::UnknownKey } else { Reason::Algorithm });
        }
        let is_good = candidates.any(|key| key.verifies(signed, signature));
        if is_good { Ok(()) } else { Err(Reason::Signature) }
    }

    fn check_names(&self, payload: &Payload) -> Result<(), Reason> {
        let is_issuer = |issuer: &str| self.issuers.iter().any(|ours| ours == issuer);
        if !self.issuers.is_empty() && !payload.said.issuer.as_deref().is_some_and(is_issuer) {
            return Err(Reason::Issuer);
        }
        let is_for_us = match &payload.audience {
            None => self.audiences.is_empty(),
            Some(audience) => audience.iter().any(|name| self.audiences.contains(name)),
        };
        if is_for_us { Ok(()) } else { Err(Reason::Audience) }
    }

    fn check_time(&self, claims: &Claims, now: u64) -> Result<(), Rejection> {
        let said = claims.said();
        let latest = now.saturating_add(self.leeway);
        if said.not_before.is_some_and(|not_before| not_before > latest) {
            return Err(Reason::NotYet.into());
        }
        if said.issued.is_some_and(|issued| issued > latest) {
            return Err(Reason::IssuedLater.into());
        }
        // From `exp` on it is over (RFC 7519, section 4.1.4), and the leeway later for us.
        if now >= said.expires.saturating_add(self.leeway) {
            return Err(Rejection::Expired);
        }
        Ok(())
    }
}
