//! Who calls, as a verified token says.

use std::time::SystemTime;

use regatta_auth::{Claims, KeyRing, Reason, Rejection, RequireRole};

use super::Denial;
use crate::Auth;
use crate::http1::Headers;

/// Verifies tokens and turns refusals into answers.
#[derive(Debug)]
pub(crate) struct Authenticator {
    /// What the ring was made of.
    pub(crate) auth: Auth,
    pub(crate) ring: KeyRing,
}

/// A verified caller; its id and roles are visible ASCII and fit into header fields as they are.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Claims);

/// Why there is no caller.
#[derive(Debug)]
pub(crate) enum Unverified {
    /// The answer to that.
    Denied(Denial),
    /// No key is known that could tell; the issuer may have new ones.
    NeedsKeys(Denial),
}

impl Authenticator {
    /// The caller; none when no token is sent and none is asked for.
    ///
    /// # Errors
    ///
    /// The 401 of R18.
    pub(crate) fn verify(
        &self,
        headers: &Headers<'_>,
        wall: SystemTime,
        required: bool,
    ) -> Result<Option<Caller>, Unverified> {
        let token = match bearer(headers) {
            Ok(token) => token,
            Err(Rejection::Missing) if !required => return Ok(None),
            Err(rejection) => return Err(Unverified::Denied(rejected(&rejection))),
        };
        let verifier = self.ring.verifier();
        let Some(verifier) = verifier.as_deref() else {
            return Err(Unverified::NeedsKeys(Denial::no_keys()));
        };
        match verifier.verify(token, wall) {
            Ok(claims) => Ok(Some(Caller(claims))),
            // Perhaps the issuer signs with a key that it has published since.
            Err(rejection) if rejection.may_be_for_want_of_keys() && self.ring.is_renewable() => {
                Err(Unverified::NeedsKeys(rejected(&rejection)))
            }
            Err(rejection) => Err(Unverified::Denied(rejected(&rejection))),
        }
    }
}

impl Caller {
    pub(crate) fn user_id(&self) -> &str {
        self.0.user_id()
    }

    pub(crate) fn roles(&self) -> impl Iterator<Item = &str> {
        self.0.roles()
    }

    /// # Errors
    ///
    /// The 403 of R18.
    pub(crate) fn check(&self, roles: &RequireRole) -> Result<(), Denial> {
        roles.check(Some(&self.0)).map_err(|rejection| rejected(&rejection))
    }

    #[cfg(test)]
    pub(crate) fn for_test(user_id: &str, roles: &[&str]) -> Self {
        Self(Claims::for_test(user_id, roles))
    }
}

/// The token of the one `Authorization` field.
fn bearer<'h>(headers: &Headers<'h>) -> Result<&'h str, Rejection> {
    let value = headers.authorization.ok_or(Rejection::Missing)?;
    if headers.ambiguous_authorization {
        return Err(Reason::Header.into());
    }
    let text = std::str::from_utf8(value).map_err(|_| Reason::Header)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Rejection::Missing);
    }
    if token.contains([' ', ',', '\t']) {
        return Err(Reason::Header.into());
    }
    Ok(token)
}

fn rejected(rejection: &Rejection) -> Denial {
    let challenge = rejection.www_authenticate();
    let denial = Denial::new(rejection.problem());
    match challenge.to_str() {
        Ok(challenge) => denial.with("WWW-Authenticate", challenge),
        Err(_) => denial,
    }
}
