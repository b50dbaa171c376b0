//! The layer that verifies a request's token.

use http::{Extensions, HeaderMap};
use tower_layer::Layer;

use super::service::{Auth, Guard};
use crate::{KeyRing, Rejection, bearer, now};

/// Verifies the bearer token and leaves its [`Claims`](crate::Claims) in the request's extensions.
///
/// What it rejects it answers itself: 401 with a challenge, or `UNAUTHENTICATED` for gRPC; 503, or
/// `UNAVAILABLE`, while no key is known. A token of a key that the issuer may have published since
/// waits up to 2 s for the keys to be read again.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    keys: KeyRing,
    is_required: bool,
}

impl AuthLayer {
    /// Lets only requests with a valid token through.
    pub fn required(keys: impl Into<KeyRing>) -> Self {
        Self { keys: keys.into(), is_required: true }
    }

    /// Lets requests without a token through too; one that is sent must be valid.
    pub fn optional(keys: impl Into<KeyRing>) -> Self {
        Self { keys: keys.into(), is_required: false }
    }
}

impl Guard for AuthLayer {
    fn admit(&self, headers: &HeaderMap, extensions: &mut Extensions) -> Result<(), Rejection> {
        match bearer(headers) {
            Ok(token) => {
                let verifier = self.keys.verifier();
                let verifier = verifier.as_deref().ok_or(Rejection::NoKeys)?;
                extensions.insert(verifier.verify(token, now())?);
                Ok(())
            }
            Err(Rejection::Missing) if !self.is_required => Ok(()),
            Err(rejection) => Err(rejection),
        }
    }

    fn remedy(&self, rejection: &Rejection) -> Option<KeyRing> {
        rejection
            .may_be_for_want_of_keys()
            .then_some(&self.keys)
            .filter(|it| it.is_renewable())
            .cloned()
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth::new(inner, self.clone())
    }
}
