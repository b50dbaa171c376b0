//! `GET /v1/regatta/checks`: what checks ask. Not Consul's, which tells nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::response::Response;
use serde_json::{Value, json};

use super::app::{App, json};
use super::query::Query;
use crate::registry::{Check, CheckKind};

/// Each check that asks something, as an agent's registration defines it.
pub(crate) async fn definitions(Extract(app): Extract<App>, query: Query) -> Response {
    let told: Vec<Value> = app.engine.read(|state| {
        let told = state.checks().filter_map(|check| {
            let definition = definition(check)?;
            Some(json!({ "Node": check.node, "CheckID": check.id, "Definition": definition }))
        });
        told.collect()
    });
    json(&query, &Value::Array(told))
}

/// What a check asks; none when its status is set from outside.
fn definition(check: &Check) -> Option<Value> {
    let mut definition = match &check.kind {
        CheckKind::External => return None,
        CheckKind::Tcp { address, .. } => json!({ "TCP": address }),
        CheckKind::Http { url, method, header, body, skip_verify, .. } => {
            let mut headers = BTreeMap::<&str, Vec<&str>>::new();
            for (name, value) in header {
                headers.entry(name).or_default().push(value);
            }
            json!({ "HTTP": url, "Method": method, "Header": headers, "Body": body,
                "TLSSkipVerify": skip_verify })
        }
        CheckKind::Grpc { address, service, tls, skip_verify, .. } => {
            let target = match service.as_str() {
                "" => address.clone(),
                service => format!("{address}/{service}"),
            };
            json!({ "GRPC": target, "GRPCUseTLS": tls, "TLSSkipVerify": skip_verify })
        }
        CheckKind::Ttl { ttl } => json!({ "TTL": millis(*ttl) }),
    };
    if let CheckKind::Tcp { interval, timeout, .. }
    | CheckKind::Http { interval, timeout, .. }
    | CheckKind::Grpc { interval, timeout, .. } = &check.kind
    {
        definition["Interval"] = millis(*interval).into();
        definition["Timeout"] = millis(*timeout).into();
    }
    if let Some(after) = check.deregister_after {
        definition["DeregisterCriticalServiceAfter"] = millis(after).into();
    }
    for (name, count) in [
        ("SuccessBeforePassing", check.thresholds.passing),
        ("FailuresBeforeCritical", check.thresholds.critical),
    ] {
        if count > 0 {
            definition[name] = count.into();
        }
    }
    Some(definition)
}

fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consul::decode;
    use crate::registry::{Command, Status};

    /// A check as it would be kept.
    fn kept(definition: &Value) -> Check {
        let body = json!({ "Name": "web", "Check": definition }).to_string();
        let command = decode::service(body.as_bytes(), "n", false).unwrap();
        let Command::RegisterService { mut checks, .. } = command else { panic!("a service") };
        let spec = checks.remove(0);
        Check {
            node: spec.node,
            id: spec.id,
            name: spec.name,
            status: Status::Passing,
            notes: spec.notes,
            output: String::new(),
            service_id: spec.service_id,
            service_name: String::new(),
            kind: spec.kind,
            deregister_after: spec.deregister_after,
            thresholds: spec.thresholds,
            definition: Value::Null,
            created: 1,
            modified: 1,
        }
    }

    #[test]
    fn what_is_told_defines_the_same_check() {
        for asked in [
            json!({ "TCP": "a:1", "Interval": "7s", "Timeout": "2s" }),
            json!({ "HTTP": "http://a/", "Method": "PUT", "Header": { "X": ["1", "2"] },
                "Body": "b", "TLSSkipVerify": true, "Interval": "7s",
                "DeregisterCriticalServiceAfter": "90m", "FailuresBeforeCritical": 3 }),
            json!({ "GRPC": "a:1", "Interval": "7s" }),
            json!({ "GRPC": "a:1/b.C", "GRPCUseTLS": true, "Interval": "7s",
                "SuccessBeforePassing": 2 }),
            json!({ "TTL": "1500ms" }),
        ] {
            let first = kept(&asked);
            assert_eq!(kept(&definition(&first).unwrap()), first, "{asked}");
        }
    }

    #[test]
    fn a_check_that_is_set_from_outside_asks_nothing() {
        let check = kept(&json!({ "TTL": "1s" }));
        assert_eq!(definition(&Check { kind: CheckKind::External, ..check }), None);
    }
}
