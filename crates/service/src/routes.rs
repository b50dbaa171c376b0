//! What a service author hands over: REST routes, with or without their description.

use std::fmt;

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// REST routes, and their OpenAPI description if they have one.
pub struct Rest {
    pub(crate) router: Router,
    pub(crate) document: Option<OpenApi>,
}

impl From<Router> for Rest {
    fn from(router: Router) -> Self {
        Self { router, document: None }
    }
}

impl From<OpenApiRouter> for Rest {
    fn from(router: OpenApiRouter) -> Self {
        let (router, document) = router.split_for_parts();
        Self { router, document: Some(document) }
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("router", &self.router)
            .field("is_described", &self.document.is_some())
            .finish()
    }
}
