//! `/v1/kv`: keys, values and locks.

use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode, Uri};
use serde_json::Value;

use super::app::{App, json, json_text};
use super::blocking::{hold, with_index};
use super::body;
use super::failure::Failure;
use super::kv_wire::{ShownPair, short_of_separator};
use super::path;
use super::query::Query;
use crate::registry::{Conflict, KeyOperation, Topic, Write};

/// `GET /v1/kv/:key`: one pair, those of a prefix (`recurse`), their keys (`keys`), or the bytes of
/// a value (`raw`).
pub(crate) async fn get(Extract(app): Extract<App>, uri: Uri) -> Result<Response, Failure> {
    let query = Query::parse(uri.query().unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    let key: Arc<str> = key(&uri)?.into();
    if query.flag("keys") {
        return keys(&app, &query, &key).await;
    }
    let recurse = query.flag("recurse");
    if key.is_empty() && !recurse {
        return Err(missing_key());
    }
    let topic = if recurse { Topic::Prefix(key.clone()) } else { Topic::Key(key.clone()) };
    hold(&app, &query, &topic).await?;
    let (index, pairs) = app.engine.read(|state| {
        let pairs: Vec<_> = match recurse {
            true => state.keys().beginning(&key).cloned().collect(),
            false => state.keys().get(&key).cloned().into_iter().collect(),
        };
        (state.index_of(&topic), pairs)
    });
    let response = match pairs.first() {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(pair) if query.flag("raw") && !recurse => raw(pair.value.clone()),
        Some(_) => {
            let shown: Vec<_> = pairs.iter().map(|pair| ShownPair::of(pair)).collect();
            json_text(&query, &shown)
        }
    };
    Ok(with_index(response, index))
}

async fn keys(app: &App, query: &Query, prefix: &Arc<str>) -> Result<Response, Failure> {
    let topic = Topic::Prefix(prefix.clone());
    hold(app, query, &topic).await?;
    let separator = query.get("separator").unwrap_or_default();
    let (index, keys) = app.engine.read(|state| {
        let all = state.keys().beginning(prefix).map(|pair| &*pair.key);
        (state.index_of(&topic), short_of_separator(all, prefix.len(), separator))
    });
    let response = match keys.is_empty() && !prefix.is_empty() {
        true => StatusCode::NOT_FOUND.into_response(),
        false => json_text(query, &keys),
    };
    Ok(with_index(response, index))
}

/// `PUT /v1/kv/:key`: sets a value, with `cas` if it was modified at that index, with `acquire` and
/// `release` for a session that takes or gives back the lock.
pub(crate) async fn put(Extract(app): Extract<App>, request: Request) -> Result<Response, Failure> {
    let (parts, sent) = request.into_parts();
    // Before anything is refused, so that the client can read why.
    let value = body::within(sent, app.bounds.max_value_bytes).await?;
    let key = named_key(&app, &parts.uri)?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    conflicting(&query, &["cas", "acquire", "release"])?;
    let flags = query.number("flags")?.unwrap_or(0);
    let write = Write { key, value, flags };
    let operation = if let Some(index) = query.number("cas")? {
        KeyOperation::SetAt(write, index)
    } else if let Some(session) = query.get("acquire") {
        KeyOperation::Lock(write, session.to_owned())
    } else if let Some(session) = query.get("release") {
        KeyOperation::Unlock(write, session.to_owned())
    } else {
        KeyOperation::Set(write)
    };
    change(&app, &query, operation).await
}

/// `DELETE /v1/kv/:key`: one key, with `recurse` all of a prefix, with `cas` if it was modified at
/// that index.
pub(crate) async fn delete(Extract(app): Extract<App>, uri: Uri) -> Result<Response, Failure> {
    let query = Query::parse(uri.query().unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    conflicting(&query, &["recurse", "cas"])?;
    let operation = if query.flag("recurse") {
        KeyOperation::DeleteTree(key(&uri)?.into())
    } else if let Some(index) = query.number("cas")? {
        KeyOperation::DeleteAt(named_key(&app, &uri)?, index)
    } else {
        KeyOperation::Delete(named_key(&app, &uri)?)
    };
    change(&app, &query, operation).await
}

async fn change(app: &App, query: &Query, operation: KeyOperation) -> Result<Response, Failure> {
    let done = app.engine.write(move |turn| turn.keys(&[operation])).await?;
    let failed = done.err().and_then(|failed| failed.into_iter().next());
    match failed.map(|failed| failed.conflict) {
        None => Ok(json(query, &Value::Bool(true))),
        Some(conflict) if conflict.is_no() => Ok(json(query, &Value::Bool(false))),
        Some(conflict) => Err(refused(&conflict)),
    }
}

fn refused(conflict: &Conflict) -> Failure {
    match conflict {
        Conflict::NoKey => missing_key(),
        conflict => Failure::internal(conflict.to_string()),
    }
}

fn key(uri: &Uri) -> Result<String, Failure> {
    path::after(uri, "/v1/kv")
}

fn named_key(app: &App, uri: &Uri) -> Result<Arc<str>, Failure> {
    let key = key(uri)?;
    if key.is_empty() {
        return Err(missing_key());
    }
    app.bounds.check_key(&key)?;
    Ok(key.into())
}

fn missing_key() -> Failure {
    Failure::bad_request("Missing key name")
}

/// Refuses two flags that say different things.
fn conflicting(query: &Query, flags: &[&str]) -> Result<(), Failure> {
    match flags.iter().filter(|flag| query.has(flag)).count() {
        0 | 1 => Ok(()),
        _ => Err(Failure::bad_request(format!("Conflicting flags: {}", query.sorted()))),
    }
}

/// The bytes of a value; a browser is told to show them as no page.
fn raw(value: Bytes) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/plain"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "sandbox"),
    ];
    (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), value).into_response()
}
