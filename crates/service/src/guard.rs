//! Whose tokens a service believes, and how its routes ask for them.

use regatta_auth::{AuthLayer, RequireRole, Verifier, VerifyingKey};

use crate::settings::AuthSettings;

/// Guards routes by token and role, with the keys of the group `auth`. Cheap to clone.
///
/// ```
/// use regatta::auth::Claims;
/// use regatta::axum::{Router, routing::get};
///
/// fn routes(guard: &regatta::Guard) -> Router {
///     let users = Router::new()
///         .route("/me", get(async |claims: Claims| claims.user_id().to_owned()))
///         .route_layer(guard.role("user"));
///     let admin = Router::new()
///         .route("/admin/users", get(async || "everybody"))
///         .route_layer(guard.role("admin"));
///     users.merge(admin).route("/about", get(async || "open to all"))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Guard {
    verifier: Verifier,
}

/// Why tokens cannot be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGuard {
    /// A service that asks for tokens must know by which key.
    #[error(
        "this service asks for tokens and has no key to verify them; set auth.secret \
         (AUTH__SECRET) to the issuer's secret, or auth.public_key to its PEM file"
    )]
    NoKey,
    /// The file with the public key cannot be read.
    #[error("cannot read auth.public_key `{}`; check the path and its permissions", path.display())]
    Unreadable {
        /// The path.
        path: std::path::PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// A key cannot be used.
    #[error("auth.secret or auth.public_key cannot be used")]
    Key(#[from] regatta_auth::InvalidKey),
    /// The settings do not fit together.
    #[error("the settings of `auth` do not fit together")]
    Verifier(#[from] regatta_auth::InvalidVerifier),
}

impl Guard {
    pub(crate) fn open(settings: &AuthSettings) -> Result<Self, InvalidGuard> {
        let mut builder = Verifier::builder().leeway(settings.leeway);
        if settings.secret.is_none() && settings.public_key.is_none() {
            return Err(InvalidGuard::NoKey);
        }
        if let Some(secret) = &settings.secret {
            builder = builder.key(VerifyingKey::hs256(secret)?);
        }
        if let Some(path) = &settings.public_key {
            let unreadable = |source| InvalidGuard::Unreadable { path: path.clone(), source };
            let pem = std::fs::read_to_string(path).map_err(unreadable)?;
            let algorithm = settings.algorithm.as_str().parse()?;
            builder = builder.key(VerifyingKey::from_pem(algorithm, &pem)?);
        }
        if let Some(issuer) = &settings.issuer {
            builder = builder.issuer(issuer);
        }
        if let Some(audience) = &settings.audience {
            builder = builder.audience(audience);
        }
        Ok(Self { verifier: builder.build()? })
    }

    /// Lets only requests with a valid token through, whatever its roles: 401 for others. Handlers
    /// then take [`regatta_auth::Claims`] as an argument.
    pub fn token(&self) -> AuthLayer {
        AuthLayer::required(self.verifier.clone())
    }

    /// Lets requests without a token through too; one that is sent must be valid.
    pub fn optional_token(&self) -> AuthLayer {
        AuthLayer::optional(self.verifier.clone())
    }

    /// Lets only callers with this role through: 401 without a valid token, 403 without the role.
    pub fn role(&self, role: &str) -> (AuthLayer, RequireRole) {
        (self.token(), RequireRole::new(role))
    }

    /// Lets only callers with one of these roles through.
    pub fn any_role<'a>(
        &self,
        roles: impl IntoIterator<Item = &'a str>,
    ) -> (AuthLayer, RequireRole) {
        (self.token(), RequireRole::any(roles))
    }

    /// The verifier itself, for what the layers do not cover.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

#[cfg(test)]
mod tests {
    use regatta_core::{Chain, Secret};

    use super::*;

    #[test]
    fn without_a_key_the_remedy_is_told() {
        let error = Guard::open(&AuthSettings::default()).unwrap_err();
        assert!(error.to_string().contains("AUTH__SECRET"), "{error}");
    }

    #[test]
    fn a_public_key_that_is_not_there_is_named() {
        let public_key = Some("/nowhere/key.pem".into());
        let settings = AuthSettings { public_key, ..AuthSettings::default() };
        let error = Guard::open(&settings).unwrap_err();
        assert!(Chain(&error).to_string().contains("`/nowhere/key.pem`"), "{error}");
    }

    #[test]
    fn an_empty_issuer_is_refused_and_not_taken_for_none() {
        let secret = Some(Secret::new("0123456789abcdef0123456789abcdef"));
        let settings =
            AuthSettings { secret, issuer: Some(String::new()), ..AuthSettings::default() };
        assert!(matches!(Guard::open(&settings), Err(InvalidGuard::Verifier(_))));
    }
}
