//! The layer that asks for a role.

use std::sync::Arc;

use http::{Extensions, HeaderMap};
use tower_layer::Layer;

use super::service::{Auth, Guard};
use crate::{Claims, Rejection};

/// Lets only callers with a role through; needs an [`AuthLayer`](crate::AuthLayer) outside of it.
///
/// Without the claims of one the answer is 401, never a pass.
#[derive(Clone, Debug)]
pub struct RequireRole {
    roles: Arc<[Box<str>]>,
}

impl RequireRole {
    /// Callers with this role.
    pub fn new(role: &str) -> Self {
        Self::any([role])
    }

    /// Callers with one of these roles; with none given, nobody.
    pub fn any<'a>(roles: impl IntoIterator<Item = &'a str>) -> Self {
        Self { roles: roles.into_iter().map(Into::into).collect() }
    }

    /// Decides by itself, where there is no layer.
    ///
    /// # Errors
    ///
    /// [`Rejection::Missing`] without claims, [`Rejection::Role`] without one of the roles.
    pub fn check(&self, claims: Option<&Claims>) -> Result<(), Rejection> {
        let claims = claims.ok_or(Rejection::Missing)?;
        if self.roles.iter().any(|role| claims.has_role(role)) {
            return Ok(());
        }
        Err(Rejection::Role { role: self.roles.join("` or `") })
    }
}

impl Guard for RequireRole {
    fn admit(&self, _headers: &HeaderMap, extensions: &mut Extensions) -> Result<(), Rejection> {
        self.check(extensions.get::<Claims>())
    }
}

impl<S> Layer<S> for RequireRole {
    type Service = Auth<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth::new(inner, self.clone())
    }
}
