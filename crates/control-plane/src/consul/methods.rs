//! Routes with Consul's answers to the methods they do not have.

use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, put};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{Method, StatusCode};

use super::app::App;
use super::failure::Failure;

/// A route that is only read; HEAD is refused, as Consul does.
pub(crate) fn only_get<H, T>(handler: H) -> MethodRouter<App>
where
    H: Handler<T, App>,
    T: 'static,
{
    let other = async |method: Method| other_method(&method, "OPTIONS,GET");
    get(handler).head(other).fallback(other)
}

/// A route that is only written.
pub(crate) fn only_put<H, T>(handler: H) -> MethodRouter<App>
where
    H: Handler<T, App>,
    T: 'static,
{
    put(handler).fallback(async |method: Method| other_method(&method, "OPTIONS,PUT"))
}

/// A path whose last part is missing; `what` is Consul's word for it.
pub(crate) fn missing(what: &'static str) -> MethodRouter<App> {
    only_get(async move || Failure::bad_request(format!("Missing {what}")))
}

/// The same for a path that is written.
pub(crate) fn missing_to_put(what: &'static str) -> MethodRouter<App> {
    only_put(async move || Failure::bad_request(format!("Missing {what}")))
}

/// Tells OPTIONS what there is, and refuses the rest.
pub(crate) fn other_method(method: &Method, allowed: &'static str) -> Response {
    if method == Method::OPTIONS {
        return [(ALLOW, allowed)].into_response();
    }
    let plain = (CONTENT_TYPE, "text/plain; charset=utf-8");
    let text = format!("method {method} not allowed");
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, allowed), plain], text).into_response()
}
