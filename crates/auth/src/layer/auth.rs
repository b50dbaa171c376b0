//! The layer that verifies a request's token.

use http::{Extensions, HeaderMap};
use tower_layer::Layer;

use super::service::{Auth, Guard};
use crate::{Rejection, Verifier, bearer, now};

/// Verifies the bearer token and leaves its [`Claims`](crate::Claims) in the request's extensions.
///
/// What it rejects it answers itself: 401 with a challenge, or `UNAUTHENTICATED` for gRPC.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    verifier: Verifier,
    is_required: bool,
}

impl AuthLayer {
    /// Lets only requests with a valid token through.
    pub fn required(verifier: Verifier) -> Self {
        Self { verifier, is_required: true }
    }

    /// Lets requests without a token through too; one that is sent must be valid.
    pub fn optional(verifier: Verifier) -> Self {
        Self { verifier, is_required: false }
    }
}

impl Guard for AuthLayer {
    fn admit(&self, headers: &HeaderMap, extensions: &mut Extensions) -> Result<(), Rejection> {
        match bearer(headers) {
            Ok(token) => {
                extensions.insert(self.verifier.verify(token, now())?);
                Ok(())
            }
            Err(Rejection::Missing) if !self.is_required => Ok(()),
            Err(rejection) => Err(rejection),
        }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth::new(inner, self.clone())
    }
}
