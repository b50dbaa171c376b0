//! Whose tokens a service believes, and how its routes ask for them.

use std::sync::PoisonError;

use regatta_auth::{AuthLayer, InvalidTrust, KeyRing, RequireRole, Trust, VerifyingKey};

use crate::health::Dependency;
use crate::settings::{AuthSettings, GrpcAuth};
use crate::{Result, Service};

/// Guards routes by token and role, with the keys of the group `auth`. Cheap to clone.
///
/// Keys of `auth.keys` are read again while the service runs; until a URL has answered for the first
/// time, guarded routes are 503.
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
    keys: KeyRing,
}

/// Why tokens cannot be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGuard {
    /// A service that asks for tokens must know by which key.
    #[error(
        "this service asks for tokens and has no key to verify them; set auth.secret \
         (AUTH__SECRET) to the issuer's secret, auth.public_key to its PEM file, or auth.keys to the \
         file or URL of its key set"
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
    /// That key cannot be used.
    #[error("auth.public_key cannot be used")]
    Key(#[from] regatta_auth::InvalidKey),
    /// The location of keys is none.
    #[error("auth.keys cannot be used")]
    Location(#[from] regatta_auth::InvalidLocation),
    /// Keys cannot be read, or the settings do not fit together.
    #[error("the settings of `auth` cannot be used")]
    Trust(#[from] InvalidTrust),
}

impl Guard {
    pub(crate) fn open(settings: &AuthSettings) -> std::result::Result<Self, InvalidGuard> {
        let mut trust = Trust {
            secret: settings.secret.clone(),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            leeway: settings.leeway,
            ..Trust::default()
        };
        if let Some(path) = &settings.public_key {
            let unreadable = |source| InvalidGuard::Unreadable { path: path.clone(), source };
            let pem = std::fs::read_to_string(path).map_err(unreadable)?;
            let algorithm = settings.algorithm.as_str().parse()?;
            trust.fixed.push(VerifyingKey::from_pem(algorithm, &pem)?);
        }
        trust.published = settings.keys.as_deref().map(str::parse).transpose()?;
        match KeyRing::try_new(trust) {
            Ok(keys) => Ok(Self { keys }),
            Err(InvalidTrust::NoKey) => Err(InvalidGuard::NoKey),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets only requests with a valid token through, whatever its roles: 401 for others. Handlers
    /// then take [`regatta_auth::Claims`] as an argument.
    pub fn token(&self) -> AuthLayer {
        AuthLayer::required(self.keys.clone())
    }

    /// Lets requests without a token through too; one that is sent must be valid.
    pub fn optional_token(&self) -> AuthLayer {
        AuthLayer::optional(self.keys.clone())
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

    /// The keys themselves, for what the layers do not cover.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }
}

impl Service {
    /// Guards routes by token and role, with the keys of the group `auth`. Keys that an issuer
    /// publishes (`auth.keys`) are read again while the service runs; `/health` shows whether they
    /// can be.
    ///
    /// # Errors
    ///
    /// [`Error::Guard`](crate::Error::Guard) when there is no key, or it cannot be used.
    pub fn auth(&self) -> Result<Guard> {
        self.guard().map_err(|error| self.refuse(error))
    }

    /// The guard of gRPC, if it asks for tokens.
    pub(crate) fn grpc_guard(&self) -> Result<Option<Guard>> {
        match self.settings.auth.grpc {
            GrpcAuth::None => Ok(None),
            GrpcAuth::Required => self.guard().map(Some),
        }
    }

    fn guard(&self) -> Result<Guard> {
        // The option is set whole, whoever panicked.
        let mut opened = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guard) = &*opened {
            return Ok(guard.clone());
        }
        let guard = opened.insert(Guard::open(&self.settings.auth)?).clone();
        drop(opened);
        let keys = guard.keys().clone();
        if keys.is_renewable() {
            self.tasks.spawn("keys", |drain| keys.clone().run(drain));
            // The last known keys stay, so that a service is ready without its issuer.
            self.depend(Dependency::new("keys", false, move || {
                let problem = keys.problem();
                async move { problem.map_or(Ok(()), Err) }
            }));
        }
        Ok(guard)
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
        assert!(matches!(Guard::open(&settings), Err(InvalidGuard::Trust(_))));
    }

    #[test]
    fn a_key_set_that_is_not_there_is_named() {
        let keys = Some("/nowhere/keys.json".to_owned());
        let error = Guard::open(&AuthSettings { keys, ..AuthSettings::default() }).unwrap_err();
        assert!(Chain(&error).to_string().contains("`/nowhere/keys.json`"), "{error}");
    }

    #[tokio::test]
    async fn a_url_of_keys_need_not_answer_at_the_start() {
        let keys = Some("http://127.0.0.1:1/keys".to_owned());
        let guard = Guard::open(&AuthSettings { keys, ..AuthSettings::default() }).unwrap();
        assert!(guard.keys().verifier().is_none() && guard.keys().is_renewable());
    }
}
