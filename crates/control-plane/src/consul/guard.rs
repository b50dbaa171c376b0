//! Access control of Consul's interface, around its calls.
//!
//! What a call needs is read from its path and its body before it runs, and what it lists is
//! filtered after: the calls themselves know nothing of it, and one that is not in the table here
//! is for management only.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::app::App;
use super::body::within;
use super::failure::Failure;
use super::needs::{Listed, Need, needs};
use super::query::Query;
use super::visible::{is_visible, retain};
use crate::access::{Denied, Grant};

/// What Consul says to a token that it does not know.
const UNKNOWN_TOKEN: &str = "ACL not found";
const PERMISSION_DENIED: &str = "Permission denied";

/// Lets a request through if who sent it may, and takes out of the answer what they may not see.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if !app.access.is_enabled() {
        return next.run(request).await;
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let now = tokio::time::Instant::now().into_std();
    let grant = match app.access.grant(now, token(request.headers(), &query).as_deref()) {
        Ok(grant) => grant,
        Err(Denied::UnknownToken | Denied::WrongPassword | Denied::NotEnabled) => {
            app.metrics.denied("consul");
            return Failure::new(StatusCode::FORBIDDEN, UNKNOWN_TOKEN).into_response();
        }
    };
    if grant.rules.is_management() {
        return next.run(request).await;
    }
    guarded(&app, &grant, &query, request, next).await
}

async fn guarded(
    app: &App,
    grant: &Grant,
    query: &Query,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    // Bounded as the calls' own bodies are, of which a value is the largest.
    let most = app.max_body_bytes.max(app.bounds.max_value_bytes);
    let body = match within(body, most).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    let path = percent_decoded(parts.uri.path());
    let need = needs(&parts.method, &path, query, &body, app);
    if let Some(refusal) = refusal(&need, grant) {
        app.metrics.denied("consul");
        return refusal;
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    match need {
        Need::Filtered(listed) => filter(grant, query, listed, response).await,
        _ => response,
    }
}

/// The answer to who may not; none for who may.
fn refusal(need: &Need, grant: &Grant) -> Option<Response> {
    let denied = || Failure::new(StatusCode::FORBIDDEN, PERMISSION_DENIED).into_response();
    let is_allowed = match need {
        Need::Nothing | Need::Filtered(_) => true,
        Need::Management => false,
        Need::All(all) => all.iter().all(|one| one.is_allowed(&grant.rules)),
        Need::Txn(operations) => {
            let errors: Vec<_> = operations
                .iter()
                .enumerate()
                .filter(|(_, one)| !one.is_allowed(&grant.rules))
                .map(
                    |(index, _)| serde_json::json!({ "OpIndex": index, "What": PERMISSION_DENIED }),
                )
                .collect();
            if errors.is_empty() {
                return None;
            }
            let body = serde_json::json!({ "Results": null, "Errors": errors }).to_string();
            let json = [(CONTENT_TYPE, "application/json")];
            return Some((StatusCode::CONFLICT, json, body).into_response());
        }
    };
    (!is_allowed).then(denied)
}

/// Takes out of a list what its reader may not see.
async fn filter(grant: &Grant, query: &Query, listed: Listed, response: Response) -> Response {
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The answer is in memory already.
    let read = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(mut value) = serde_json::from_slice::<Value>(&read) else {
        // What is no list of ours is not shown.
        return Failure::new(StatusCode::FORBIDDEN, PERMISSION_DENIED).into_response();
    };
    retain(&mut value, &|key, item| is_visible(&grant.rules, listed, key, item));
    let is_empty = value.as_array().is_some_and(Vec::is_empty);
    parts.headers.remove(CONTENT_LENGTH);
    if is_empty && listed.is_absent_when_empty() {
        parts.status = StatusCode::NOT_FOUND;
        parts.headers.remove(CONTENT_TYPE);
        return Response::from_parts(parts, Body::empty());
    }
    let text = if query.flag("pretty") { format!("{value:#}\n") } else { value.to_string() };
    Response::from_parts(parts, Body::from(Bytes::from(text)))
}

/// The token, as Consul's clients send it: the query's comes first, as in Consul.
fn token(headers: &HeaderMap, query: &Query) -> Option<String> {
    if let Some(token) = query.get("token").filter(|token| !token.is_empty()) {
        return Some(token.to_owned());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(token) = text("x-consul-token").filter(|token| !token.is_empty()) {
        return Some(token.to_owned());
    }
    let (scheme, token) = text(AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// The path as the router will read it.
fn percent_decoded(path: &str) -> Vec<u8> {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_in_the_query_or_in_one_of_two_headers() {
        let token = |query: &str, header: Option<(&'static str, &'static str)>| {
            let mut headers = HeaderMap::new();
            header.map(|(name, value)| headers.insert(name, value.parse().unwrap()));
            token(&headers, &Query::parse(query))
        };
        assert_eq!(token("", None), None);
        assert_eq!(token("token=a", Some(("x-consul-token", "b"))).as_deref(), Some("a"));
        assert_eq!(token("token=", Some(("x-consul-token", "b"))).as_deref(), Some("b"));
        assert_eq!(token("", Some(("authorization", "Bearer c"))).as_deref(), Some("c"));
        assert_eq!(token("", Some(("authorization", "Basic c"))), None);
    }

    #[test]
    fn a_path_is_read_as_the_router_reads_it() {
        assert_eq!(percent_decoded("/v1/kv/a%2fb%20%zz%4"), b"/v1/kv/a/b %zz%4");
    }
}
