//! The name of a route, where the router is not axum's.

use std::sync::Arc;

/// The route that serves a request, such as `/users/{id}`; never the path itself.
///
/// axum's own is found by itself. Another router puts this into the extensions of the request,
/// or of its response, to name the route in spans and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route(pub Arc<str>);
