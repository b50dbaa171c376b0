//! `/v1/event`: fires events and lists the latest.

use axum::extract::{Request, State as Extract};
use axum::response::Response;
use http::Uri;
use regex_lite::Regex;
use serde_json::{Value, json};

use super::app::{App, json};
use super::blocking::{Held, with_index};
use super::body;
use super::events::Event;
use super::failure::Failure;
use super::kv_wire::encoded;
use super::path;
use super::query::Query;
use crate::registry::{OWN_SERVICE, State};

/// Bytes of name and payload together, as in Consul.
const MOST_BYTES: usize = 512;

/// `PUT /v1/event/fire/:name`.
pub(crate) async fn fire(
    Extract(app): Extract<App>,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, sent) = request.into_parts();
    let payload = body::within(sent, app.max_body_bytes).await?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    let name = path::after(&parts.uri, "/v1/event/fire")?;
    if name.is_empty() {
        return Err(Failure::bad_request("Missing name"));
    }
    if name.len() + payload.len() > MOST_BYTES {
        let text = format!("user event exceeds configured limit of {MOST_BYTES} bytes");
        return Err(Failure::internal(text));
    }
    let filter = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let event = Event {
        id: uuid::Uuid::new_v4(),
        name,
        payload,
        node_filter: filter("node"),
        service_filter: filter("service"),
        tag_filter: filter("tag"),
        time: 0,
    };
    let filters = Filters::of(&event)?;
    let answer = json(&query, &shown(&event));
    let node = &app.identity.node;
    // One that is for other nodes is fired, and not this agent's to list.
    if app.engine.read(|state| filters.select(state, node)) {
        app.events.fire(event);
    }
    Ok(answer)
}

/// `GET /v1/event/list`; waits for a further event when the index is that of the latest.
pub(crate) async fn list(Extract(app): Extract<App>, uri: Uri) -> Result<Response, Failure> {
    let query = Query::parse(uri.query().unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    let name = query.get("name").filter(|name| !name.is_empty());
    if let Some(held) = Held::begin(&app, &query)? {
        let mut fired = app.events.subscribe();
        while app.events.list(name).0 == held.index {
            let woken = async {
                // The sender lives as long as the control plane.
                let _never_closed = fired.changed().await;
            };
            if !held.is_woken(woken).await {
                break;
            }
        }
    }
    let (index, events) = app.events.list(name);
    let events = events.iter().map(shown).collect();
    Ok(with_index(json(&query, &events), index))
}

fn shown(event: &Event) -> Value {
    json!({
        "ID": event.id.to_string(), "Name": event.name, "Payload": encoded(&event.payload),
        "NodeFilter": event.node_filter, "ServiceFilter": event.service_filter,
        "TagFilter": event.tag_filter, "Version": 1, "LTime": event.time,
    })
}

/// For whom an event is: expressions over the names of nodes, services and tags.
struct Filters {
    node: Option<Regex>,
    service: Option<Regex>,
    tag: Option<Regex>,
}

impl Filters {
    fn of(event: &Event) -> Result<Self, Failure> {
        if !event.tag_filter.is_empty() && event.service_filter.is_empty() {
            return Err(Failure::internal("Cannot provide tag filter without service filter"));
        }
        Ok(Self {
            node: expression("node", &event.node_filter)?,
            service: expression("service", &event.service_filter)?,
            tag: expression("tag", &event.tag_filter)?,
        })
    }

    fn select(&self, state: &State, node: &str) -> bool {
        let fits = |filter: &Option<Regex>, text: &str| {
            filter.as_ref().is_none_or(|filter| filter.is_match(text))
        };
        if !fits(&self.node, node) {
            return false;
        }
        if self.service.is_none() {
            return true;
        }
        let own = state.services_on(node).filter(|service| service.id != OWN_SERVICE);
        own.filter(|service| fits(&self.service, &service.name)).any(|service| {
            self.tag.is_none() || service.tags.iter().any(|tag| fits(&self.tag, tag))
        })
    }
}

fn expression(name: &str, text: &str) -> Result<Option<Regex>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |error| Failure::internal(format!("Invalid {name} filter: {error}: `{text}`"));
    Regex::new(text).map(Some).map_err(wrong)
}
