//! `/v1/session`: who may hold locks.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State as Extract};
use axum::response::Response;
use http::Uri;
use serde_json::{Value, json};

use super::app::{App, json};
use super::blocking::indexed;
use super::body;
use super::failure::Failure;
use super::fields::{Fields, failure};
use super::path;
use super::query::Query;
use crate::registry::{Behavior, SERF_HEALTH, Session, SessionSpec, Topic};

/// Consul's, for a session that names none.
const LOCK_DELAY: Duration = Duration::from_secs(15);
/// A number below this is seconds, as in Consul; above it is nanoseconds.
const SECONDS_BELOW: Duration = Duration::from_nanos(1000);

/// `PUT /v1/session/create`.
pub(crate) async fn create(
    Extract(app): Extract<App>,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, sent) = request.into_parts();
    let sent = body::within(sent, app.max_body_bytes).await?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    let spec = spec(&sent, &app.identity.node)?;
    let id = uuid::Uuid::new_v4().to_string();
    let asked = id.clone();
    let created = app.engine.write(move |turn| turn.create_session(spec, &asked)).await?;
    created.map_err(|refusal| Failure::internal(refusal.to_string()))?;
    Ok(json(&query, &json!({ "ID": id })))
}

/// `PUT /v1/session/destroy/:id`; an unknown id is fine.
pub(crate) async fn destroy(Extract(app): Extract<App>, uri: Uri) -> Result<Response, Failure> {
    let query = Query::parse(uri.query().unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    let id = session_id(&uri, "/v1/session/destroy")?;
    app.engine.write(move |turn| turn.destroy_session(&id)).await?;
    Ok(json(&query, &Value::Bool(true)))
}

/// `PUT /v1/session/renew/:id`.
pub(crate) async fn renew(Extract(app): Extract<App>, uri: Uri) -> Result<Response, Failure> {
    let query = Query::parse(uri.query().unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    let id = session_id(&uri, "/v1/session/renew")?;
    let asked = id.clone();
    let session = app.engine.write(move |turn| turn.renew_session(&asked)).await?;
    let session =
        session.ok_or_else(|| Failure::not_found(format!("Session id '{id}' not found")))?;
    Ok(json(&query, &json!([shown(&session)])))
}

/// `GET /v1/session/info/:id`: an empty list when there is none.
pub(crate) async fn info(Extract(app): Extract<App>, uri: Uri) -> Result<Response, Failure> {
    let query = Query::parse(uri.query().unwrap_or_default());
    let id = session_id(&uri, "/v1/session/info")?;
    indexed(
        &app,
        &query,
        Topic::Session(id.as_str().into()),
        |state| state.sessions().get(&id).into_iter().cloned().collect(),
        all,
    )
    .await
}

/// `GET /v1/session/node/:node`.
pub(crate) async fn on_node(Extract(app): Extract<App>, uri: Uri) -> Result<Response, Failure> {
    let query = Query::parse(uri.query().unwrap_or_default());
    let node = named(&uri, "/v1/session/node", "Missing node name")?;
    indexed(
        &app,
        &query,
        Topic::Sessions,
        |state| {
            let on_node = state.sessions().iter().filter(|session| session.spec.node == node);
            on_node.cloned().collect()
        },
        all,
    )
    .await
}

/// `GET /v1/session/list`.
pub(crate) async fn list(Extract(app): Extract<App>, uri: Uri) -> Result<Response, Failure> {
    let query = Query::parse(uri.query().unwrap_or_default());
    indexed(&app, &query, Topic::Sessions, |state| state.sessions().iter().cloned().collect(), all)
        .await
}

fn all(sessions: Vec<Arc<Session>>) -> Value {
    sessions.iter().map(|session| shown(session)).collect()
}

/// The id in the path. One that cannot be is told from one that is not there, as in Consul.
fn session_id(uri: &Uri, call: &str) -> Result<String, Failure> {
    let id = named(uri, call, "Missing session")?;
    if id.len() != 36 {
        let text = format!("failed session lookup: `{id}` is no id; UUID must be 36 characters");
        return Err(Failure::internal(text));
    }
    Ok(id)
}

fn named(uri: &Uri, call: &str, missing: &'static str) -> Result<String, Failure> {
    match path::after(uri, call)? {
        name if name.is_empty() => Err(Failure::bad_request(missing)),
        name => Ok(name),
    }
}

fn shown(session: &Session) -> Value {
    let spec = &session.spec;
    let service_checks: Vec<_> =
        spec.service_checks.iter().map(|id| json!({"ID": id, "Namespace": ""})).collect();
    let service_checks = match service_checks.is_empty() {
        true => Value::Null,
        false => service_checks.into(),
    };
    let behavior = match spec.behavior {
        Behavior::Release => "release",
        Behavior::Delete => "delete",
    };
    let lock_delay = u64::try_from(spec.lock_delay.as_nanos()).unwrap_or(u64::MAX);
    json!({
        "ID": &*session.id, "Name": spec.name, "Node": spec.node, "TTL": spec.ttl,
        "Behavior": behavior, "LockDelay": lock_delay, "NodeChecks": spec.node_checks,
        "ServiceChecks": service_checks,
        "CreateIndex": session.created, "ModifyIndex": session.created,
    })
}

/// A session as a client asks for it: on this node, alive while that is, unless it says otherwise.
pub(crate) fn spec(body: &[u8], own_node: &str) -> Result<SessionSpec, Failure> {
    // No body, or one that says nothing, asks for what is usual.
    let is_empty = matches!(body.trim_ascii(), b"" | b"null");
    let body: &[u8] = if is_empty { b"{}" } else { body };
    let mut fields = Fields::parse(body)?;
    let (checks, node_checks) = (fields.list("Checks")?, fields.list("NodeChecks")?);
    let name = fields.text("Name")?;
    let node = match fields.text("Node")? {
        node if node.is_empty() => own_node.to_owned(),
        node => node,
    };
    let lock_delay = match fields.duration("LockDelay")? {
        None => LOCK_DELAY,
        Some(number) if number < SECONDS_BELOW => number * 1_000_000_000,
        Some(delay) => delay,
    };
    let behavior = match fields.text("Behavior")?.as_str() {
        "" | "release" => Behavior::Release,
        "delete" => Behavior::Delete,
        other => {
            let text = format!("Invalid Behavior setting '{other}'");
            return Err(Failure::internal(text));
        }
    };
    let ttl = fields.text("TTL")?;
    let service_checks = match fields.take("ServiceChecks") {
        None => Vec::new(),
        Some(Value::Array(checks)) => {
            let id = |check| {
                let mut fields = Fields::of(check, "ServiceChecks")?;
                fields.ignore(&["Namespace"]);
                let id = fields.text("ID")?;
                fields.finish().map(|()| id)
            };
            checks.into_iter().map(id).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(failure("ServiceChecks is not a list")),
    };
    // What else there is, Consul does not look at either.
    // Either list, also an empty one, is instead of the node's health.
    let mut node_checks = match (checks, node_checks) {
        (None, None) => vec![SERF_HEALTH.to_owned()],
        (one, two) => one.into_iter().chain(two).flatten().collect(),
    };
    node_checks.sort();
    node_checks.dedup();
    Ok(SessionSpec { name, node, ttl, behavior, lock_delay, node_checks, service_checks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> SessionSpec {
        spec(body.as_bytes(), "own").unwrap()
    }

    #[test]
    fn nothing_asks_for_a_session_of_this_node_that_lives_with_it() {
        for body in ["", " \n", "{}", "null", r#"{"Name":null}"#] {
            let spec = of(body);
            assert_eq!((spec.node.as_str(), spec.ttl.as_str()), ("own", ""));
            assert_eq!((spec.behavior, spec.lock_delay), (Behavior::Release, LOCK_DELAY));
            assert_eq!(
                (spec.node_checks, spec.service_checks.len()),
                (vec![SERF_HEALTH.into()], 0)
            );
        }
    }

    #[test]
    fn names_may_be_lower_case_and_a_delay_a_text_or_seconds_or_nanoseconds() {
        let spec =
            of(r#"{"name":"n","node":"x","ttl":"15s","behavior":"delete","lockdelay":"5s"}"#);
        assert_eq!((spec.node.as_str(), spec.ttl.as_str()), ("x", "15s"));
        assert_eq!((spec.behavior, spec.lock_delay), (Behavior::Delete, Duration::from_secs(5)));
        let seconds = |body: &str| of(body).lock_delay.as_secs();
        assert_eq!(seconds(r#"{"LockDelay":7}"#), 7);
        assert_eq!(seconds(r#"{"LockDelay":8000000000}"#), 8);
        assert_eq!(seconds(r#"{"LockDelay":0}"#), 0);
    }

    #[test]
    fn a_list_of_checks_is_instead_of_the_nodes_health() {
        assert_eq!(of(r#"{"checks":["a","b"]}"#).node_checks, ["a", "b"]);
        assert!(of(r#"{"checks":[]}"#).node_checks.is_empty());
        assert_eq!(
            of(r#"{"NodeChecks":["serfHealth"],"Checks":["serfHealth"]}"#).node_checks.len(),
            1
        );
        assert_eq!(of(r#"{"ServiceChecks":[{"ID":"s"}]}"#).service_checks, ["s"]);
    }

    #[test]
    fn refuses_what_is_wrong() {
        for body in ["[]", "{", r#"{"behavior":"x"}"#, r#"{"lockdelay":"x"}"#] {
            assert!(spec(body.as_bytes(), "own").is_err(), "{body}");
        }
    }
}
