//! Who calls, as a verified token says.

use std::time::SystemTime;

use regatta_auth::{Claims, Reason, Rejection, RequireRole, Verifier, VerifyingKey};

use super::Denial;
use crate::http1::Headers;
use crate::{Auth, InvalidSettings};

/// Verifies tokens and turns refusals into answers.
#[derive(Debug)]
pub(crate) struct Authenticator {
    verifier: Verifier,
}

/// A verified caller; its id and roles are visible ASCII and fit into header fields as they are.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Claims);

impl Authenticator {
    /// # Errors
    ///
    /// [`InvalidSettings::BadAuth`] when the key is too short or a name is empty.
    pub(crate) fn try_new(auth: &Auth) -> Result<Self, InvalidSettings> {
        let bad = |error: &dyn std::error::Error| InvalidSettings::BadAuth {
            reason: regatta_core::Chain(error).to_string(),
        };
        let key = VerifyingKey::hs256(&auth.secret).map_err(|error| bad(&error))?;
        let mut builder = Verifier::builder().key(key);
        if let Some(issuer) = &auth.issuer {
            builder = builder.issuer(issuer.as_str());
        }
        if let Some(audience) = &auth.audience {
            builder = builder.audience(audience.as_str());
        }
        Ok(Self { verifier: builder.build().map_err(|error| bad(&error))? })
    }

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
    ) -> Result<Option<Caller>, Denial> {
        let token = match bearer(headers) {
            Ok(token) => token,
            Err(Rejection::Missing) if !required => return Ok(None),
            Err(rejection) => return Err(rejected(&rejection)),
        };
        let claims = self.verifier.verify(token, wall).map_err(|rejection| rejected(&rejection))?;
        Ok(Some(Caller(claims)))
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
