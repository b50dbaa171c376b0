//! `/v1/txn`: several changes of keys, all or none.

use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::app::{App, json_text};
use super::body;
use super::bounds::Bounds;
use super::failure::Failure;
use super::fields::Fields;
use super::kv_wire::{ShownPair, decoded};
use super::query::Query;
use crate::registry::{Failed, KeyOperation, Outcome, Write};

/// `PUT /v1/txn`.
pub(crate) async fn apply(
    Extract(app): Extract<App>,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, sent) = request.into_parts();
    let sent = body::within(sent, app.max_body_bytes).await?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    let operations = operations(&sent, &app.bounds)?;
    let only_reads = operations.iter().all(KeyOperation::is_read);
    let done = app.engine.write(move |turn| {
        let done = turn.keys(&operations);
        (done, turn.index())
    });
    let (done, index) = done.await?;
    let read = only_reads.then_some(Read {
        index,
        last_contact: 0,
        known_leader: true,
        consistency_level: "",
    });
    let (status, answer) = match &done {
        Ok(outcomes) => {
            let results = outcomes.iter().flat_map(results).collect();
            (StatusCode::OK, Answer { results: Some(results), errors: None, read })
        }
        Err(failed) => {
            let errors = failed.iter().map(ShownError::of).collect();
            (StatusCode::CONFLICT, Answer { results: None, errors: Some(errors), read })
        }
    };
    let mut response = (status, json_text(&query, &answer)).into_response();
    if only_reads {
        let headers = response.headers_mut();
        headers.insert("x-consul-knownleader", HeaderValue::from_static("true"));
        headers.insert("x-consul-lastcontact", HeaderValue::from_static("0"));
    }
    Ok(response)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    results: Option<Vec<ShownResult<'a>>>,
    errors: Option<Vec<ShownError>>,
    #[serde(flatten)]
    read: Option<Read>,
}

/// What the answer to a transaction that only reads has beside.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Read {
    index: u64,
    last_contact: u64,
    known_leader: bool,
    consistency_level: &'static str,
}

#[derive(Serialize)]
struct ShownResult<'a> {
    #[serde(rename = "KV")]
    pair: ShownPair<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownError {
    op_index: usize,
    what: String,
}

impl ShownError {
    fn of(failed: &Failed) -> Self {
        Self { op_index: failed.operation, what: failed.conflict.to_string() }
    }
}

fn results(outcome: &Outcome) -> Vec<ShownResult<'_>> {
    match outcome {
        Outcome::Done => Vec::new(),
        Outcome::Pair(pair) => vec![ShownResult { pair: ShownPair::without_value(pair) }],
        Outcome::Found(pair) => vec![ShownResult { pair: ShownPair::of(pair) }],
        Outcome::Tree(pairs) => {
            pairs.iter().map(|pair| ShownResult { pair: ShownPair::of(pair) }).collect()
        }
    }
}

/// The operations that a body asks for.
pub(crate) fn operations(body: &[u8], bounds: &Bounds) -> Result<Vec<KeyOperation>, Failure> {
    let parsed = match serde_json::from_slice(body) {
        Ok(Value::Array(list)) => list,
        Ok(Value::Null) => Vec::new(),
        Ok(_) => return Err(malformed("the body is not a list")),
        Err(error) => return Err(malformed(&error.to_string())),
    };
    let (has, most) = (parsed.len(), bounds.max_txn_operations);
    if has > most {
        let text = format!("Transaction contains too many operations ({has} > {most})");
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let read = parsed.into_iter().map(|operation| key_operation(operation, bounds));
    read.filter_map(Result::transpose).collect()
}

/// One operation; none of an object that asks for nothing.
fn key_operation(operation: Value, bounds: &Bounds) -> Result<Option<KeyOperation>, Failure> {
    let mut operation = Fields::of(operation, "the operation").map_err(reworded)?;
    let asked = operation.take("KV");
    if ["Node", "Service", "Check"].iter().any(|kind| operation.take(kind).is_some()) {
        let text = "only operations of kind \"KV\" are possible in a transaction; use /v1/catalog \
                    for nodes, services and checks";
        return Err(Failure::bad_request(text));
    }
    operation.finish().map_err(reworded)?;
    let Some(asked) = asked else { return Ok(None) };
    let mut fields = Fields::of(asked, "KV").map_err(reworded)?;
    let read = |fields: &mut Fields| {
        let (verb, key) = (fields.text("Verb")?, fields.text("Key")?);
        let (value, session) = (fields.text("Value")?, fields.text("Session")?);
        let (flags, index) = (fields.number::<u64>("Flags")?, fields.number::<u64>("Index")?);
        Ok((verb, key, value, session, flags.unwrap_or(0), index.unwrap_or(0)))
    };
    let (verb, key, value, session, flags, index) = read(&mut fields).map_err(reworded)?;
    fields.ignore(&["Namespace"]);
    fields.finish().map_err(reworded)?;
    bounds.check_key(&key)?;
    let value = decoded(&value).ok_or_else(|| malformed("illegal base64 data in Value"))?;
    let (has, most) = (value.len(), bounds.max_value_bytes);
    if has > most {
        let text = format!("Value for key {key:?} is too large ({has} > {most} bytes)");
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let key: Arc<str> = key.into();
    let write = Write { key: key.clone(), value: Bytes::from(value), flags };
    Ok(Some(match verb.as_str() {
        "set" => KeyOperation::Set(write),
        "cas" => KeyOperation::SetAt(write, index),
        "lock" => KeyOperation::Lock(write, session),
        "unlock" => KeyOperation::Unlock(write, session),
        "get" => KeyOperation::Get(key),
        "get-tree" => KeyOperation::GetTree(key),
        "check-index" => KeyOperation::CheckIndex(key, index),
        "check-session" => KeyOperation::CheckSession(key, session),
        "check-not-exists" => KeyOperation::CheckNotExists(key),
        "delete" => KeyOperation::Delete(key),
        "delete-cas" => KeyOperation::DeleteAt(key, index),
        "delete-tree" => KeyOperation::DeleteTree(key),
        _ => KeyOperation::Unknown(key, verb),
    }))
}

fn malformed(text: &str) -> Failure {
    Failure::bad_request(format!("Failed to parse body: {text}"))
}

/// The same in the words of this call.
fn reworded(failure: Failure) -> Failure {
    malformed(failure.text().trim_start_matches("Request decode failed: "))
}
