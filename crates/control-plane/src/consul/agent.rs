//! `/v1/agent`: services of this node, and who this node is.

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use http::HeaderValue;
use serde_json::{Map, Value, json};

use super::app::{App, Identity, json};
use super::blocking::Held;
use super::body::Sent;
use super::failure::Failure;
use super::filter::Filter;
use super::query::Query;
use super::{decode, encode};
use crate::registry::{Command, Key, OWN_SERVICE, Service, Topic};

/// `PUT /v1/agent/service/register`.
pub(crate) async fn register(
    Extract(app): Extract<App>,
    query: Query,
    Sent(body): Sent,
) -> Result<(), Failure> {
    query.check_namespace()?;
    let replace = query.flag("replace-existing-checks");
    let command = decode::service(&body, &app.identity.node, replace)?;
    Ok(app.engine.submit(command).await?)
}

/// `PUT /v1/agent/service/deregister/:id`; an unknown id is fine, as in Consul 1.8.
pub(crate) async fn deregister(
    Extract(app): Extract<App>,
    Path(id): Path<String>,
) -> Result<(), Failure> {
    if id == OWN_SERVICE {
        return Ok(());
    }
    let key = Key::new(&app.identity.node, &id);
    Ok(app.engine.submit(Command::DeregisterService { key }).await?)
}

/// `PUT /v1/agent/service/maintenance/:id`.
pub(crate) async fn maintain_service(
    Extract(app): Extract<App>,
    Path(id): Path<String>,
    query: Query,
) -> Result<(), Failure> {
    maintain(&app, Some(id), &query).await
}

/// `PUT /v1/agent/maintenance`.
pub(crate) async fn maintain_node(Extract(app): Extract<App>, query: Query) -> Result<(), Failure> {
    maintain(&app, None, &query).await
}

async fn maintain(app: &App, service_id: Option<String>, query: &Query) -> Result<(), Failure> {
    let enable = match query.get("enable").unwrap_or_default().to_lowercase().as_str() {
        "" => return Err(Failure::bad_request("Missing value for enable")),
        "1" | "t" | "true" => true,
        "0" | "f" | "false" => false,
        text => return Err(Failure::bad_request(format!("Invalid value for enable: {text:?}"))),
    };
    let reason = enable.then(|| query.get("reason").unwrap_or_default().to_owned());
    let node = app.identity.node.clone();
    Ok(app.engine.submit(Command::Maintain { node, service_id, reason }).await?)
}

/// `GET /v1/agent/services`.
pub(crate) async fn services(
    Extract(app): Extract<App>,
    query: Query,
) -> Result<Response, Failure> {
    query.check(&app.identity.datacenter)?;
    let filter = Filter::of(&query)?;
    let services: Vec<_> = app.engine.read(|state| {
        let own = state.services_on(&app.identity.node);
        own.filter(|service| service.id != OWN_SERVICE).cloned().collect()
    });
    let pair = |service: &Service| (service.id.clone(), encode::agent_service(service));
    let services: Map<_, _> = services.iter().map(|service| pair(service)).collect();
    Ok(json(&query, &filter.apply(Value::Object(services))?))
}

/// `GET /v1/agent/service/:id`; with `hash`, once its definition has another.
pub(crate) async fn service(
    Extract(app): Extract<App>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let known = query.get("hash").unwrap_or_default();
    let key = Key::new(&app.identity.node, &id);
    let held = Held::for_hash(&app, &query)?;
    let mut waking = held.as_ref().map(|_| app.engine.subscribe(Topic::Node(key.node.clone())));
    loop {
        let service = app.engine.read(|state| state.service(&key).cloned());
        let service = service.filter(|service| service.id != OWN_SERVICE);
        let missing = || Failure::not_found(format!("unknown service ID: {id}"));
        let service = service.ok_or_else(missing)?;
        let (value, hash) = encode::hashed_service(&service);
        if hash == known
            && let (Some(held), Some(waking)) = (&held, &mut waking)
            && held.is_woken(waking.woken()).await
        {
            continue;
        }
        let mut response = json(&query, &value);
        let hash =
            HeaderValue::from_str(&hash).map_err(|error| Failure::internal(error.to_string()))?;
        response.headers_mut().insert("x-consul-contenthash", hash);
        return Ok(response);
    }
}

/// `GET /v1/agent/members`: this node alone, under its name in the wide area with `wan`.
pub(crate) async fn members(Extract(app): Extract<App>, query: Query) -> Result<Response, Failure> {
    if query.get("segment").is_some_and(|segment| !["", "_all"].contains(&segment)) {
        // Consul's words.
        let text = "Network segments are not supported in this version of Consul";
        return Err(Failure::internal(text));
    }
    let mut member = member(&app.identity);
    if query.flag("wan") {
        member["Name"] = format!("{}.{}", app.identity.node, app.identity.datacenter).into();
        member["Port"] = 8302.into();
    }
    Ok(json(&query, &json!([member])))
}

/// `GET /v1/agent/self`.
pub(crate) async fn self_(Extract(app): Extract<App>, query: Query) -> Response {
    let identity = &app.identity;
    let counts =
        app.engine.read(|state| (state.services_on(&identity.node).count(), state.index()));
    let value = json!({
        "Config": {
            "Datacenter": identity.datacenter, "NodeName": identity.node,
            "NodeID": identity.node_id, "Revision": "regatta", "Server": true,
            "Version": Identity::VERSION,
        },
        "Coord": {
            "Adjustment": 0, "Error": 1.5, "Height": 0.00001, "Vec": [0, 0, 0, 0, 0, 0, 0, 0],
        },
        "DebugConfig": {
            "ACLsEnabled": false, "Bootstrap": true, "Datacenter": identity.datacenter,
            "NodeName": identity.node, "ServerMode": true, "EnableScriptChecks": false,
        },
        "Member": member(identity),
        "Meta": {"consul-network-segment": ""},
        "Stats": {
            "agent": {
                // The control plane's own service is not counted, as the agent does not list it.
                "services": counts.0.saturating_sub(1).to_string(),
                "checks": app.schedule.len().to_string(),
            },
            "build": {"version": Identity::VERSION, "revision": "regatta"},
            "consul": {
                "bootstrap": "true", "known_datacenters": "1", "leader": "true",
                "leader_addr": identity.leader(), "server": "true",
            },
            "raft": {"applied_index": counts.1.to_string(), "commit_index": counts.1.to_string()},
        },
    });
    json(&query, &value)
}

/// `GET /v1/status/leader`.
pub(crate) async fn leader(Extract(app): Extract<App>, query: Query) -> Response {
    json(&query, &json!(app.identity.leader()))
}

/// `GET /v1/status/peers`.
pub(crate) async fn peers(Extract(app): Extract<App>, query: Query) -> Response {
    json(&query, &json!([app.identity.leader()]))
}

fn member(identity: &Identity) -> Value {
    json!({
        "Name": identity.node, "Addr": identity.address.ip().to_string(), "Port": 8301,
        "Tags": {
            "acls": "0", "bootstrap": "1", "build": format!("{}:regatta", Identity::VERSION),
            "dc": identity.datacenter, "id": identity.node_id, "port": "8300",
            "role": "consul", "segment": "", "vsn": "2", "vsn_max": "3", "vsn_min": "2",
        },
        "Status": 1, "ProtocolMin": 1, "ProtocolMax": 5, "ProtocolCur": 2,
        "DelegateMin": 2, "DelegateMax": 5, "DelegateCur": 4,
    })
}
