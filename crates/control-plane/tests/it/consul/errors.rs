//! What is wrong, with Consul's status and words.

use reqwest::Method;

use super::Target;

pub(super) async fn suite(target: &Target) {
    mistakes_are_told_in_plain_text(target).await;
    methods_that_a_path_does_not_have_are_refused_with_those_it_has(target).await;
}

async fn mistakes_are_told_in_plain_text(target: &Target) {
    let register = "/v1/agent/service/register";
    for (path, body, status, words) in [
        (register, "{", 400, "Request decode failed: unexpected EOF"),
        (register, "", 400, "Request decode failed: EOF"),
        (register, "{}", 400, "Missing service name"),
        ("/v1/agent/service/register?ns=x", r#"{"name":"a"}"#, 400, "Enterprise"),
        (
            "/v1/catalog/register",
            r#"{"node":"a","address":"b","check":{"node":"c","name":"n"}}"#,
            500,
            "check node \"c\" does not match node \"a\"",
        ),
        ("/v1/session/renew/x", "", 500, "UUID must be 36 characters"),
        ("/v1/session/destroy/x", "", 500, "UUID must be 36 characters"),
        (register, r#"{"name":"a","X":1}"#, 400, "json: unknown field \"X\""),
        (register, r#"{"name":5}"#, 400, "Request decode failed"),
        (register, r#"{"name":"a","address":"0.0.0.0"}"#, 400, "Invalid service address"),
        (register, r#"{"name":"a","weights":{"passing":0}}"#, 400, "Passing must be greater"),
        (register, r#"{"name":"a","check":{"tcp":"a:1"}}"#, 400, "Interval must be > 0"),
        (register, r#"{"name":"a","check":{"interval":"1s"}}"#, 400, "TTL must be > 0"),
        (register, r#"{"name":"a","check":{"ttl":"1s","status":"x"}}"#, 400, "must 'passing'"),
        (register, r#"{"name":"a","check":{"args":["x"],"interval":"1s"}}"#, 500, "Scripts are"),
        ("/v1/agent/check/register", r#"{"ttl":"1h"}"#, 400, "Missing check name"),
        ("/v1/agent/check/register", r#"{"name":"x"}"#, 400, "TTL must be > 0"),
        ("/v1/agent/check/pass/none", "", 500, "does not have associated TTL"),
        ("/v1/agent/check/update/none", r#"{"Status":"x"}"#, 400, "Invalid check status"),
        ("/v1/agent/service/maintenance/none?enable=1", "", 404, "No service registered"),
        ("/v1/agent/service/maintenance/none", "", 400, "Missing value for enable"),
        ("/v1/agent/maintenance?enable=x", "", 400, "Invalid value for enable"),
        ("/v1/catalog/register", r#"{"node":"a"}"#, 500, "Must provide address"),
        ("/v1/catalog/register", r#"{"address":"a"}"#, 500, "Must provide node"),
        ("/v1/catalog/register", r#"{"node":"a","address":"b","datacenter":"x"}"#, 500, "No path"),
        ("/v1/catalog/register", r#"{"node":"a","address":"b","id":"zz"}"#, 500, "Bad node ID"),
        ("/v1/catalog/deregister", "{}", 500, "Must provide node"),
    ] {
        said(target, Method::PUT, path, body, (status, words)).await;
    }
    for (path, status, words) in [
        ("/v1/agent/service/none", 404, "unknown service ID: none"),
        ("/v1/catalog/nodes?dc=dc9", 500, "No path to datacenter"),
        ("/v1/catalog/nodes?stale&consistent", 400, "conflicting semantics"),
        ("/v1/catalog/nodes?index=x", 400, "Invalid index"),
        ("/v1/catalog/nodes?index=1&wait=10", 400, "Invalid wait time"),
        ("/v1/health/service/a?passing=x", 400, "Invalid value for ?passing"),
        ("/v1/health/service/a?ns=x", 400, "Enterprise"),
        ("/v1/health/service/", 400, "Missing service name"),
        ("/v1/health/state/", 400, "Missing check state"),
        ("/v1/catalog/node/", 400, "Missing node name"),
        ("/v1/session/info/x", 500, "UUID must be 36 characters"),
        ("/v1/acl/list", 401, "ACL support disabled"),
        ("/v1/acl/token/self", 401, "ACL support disabled"),
        ("/v1/agent/members?segment=x", 500, "segments are not supported"),
    ] {
        said(target, Method::GET, path, "", (status, words)).await;
    }
    assert_eq!(target.get("/v1/nothing").await.status, 404);
    assert_eq!(target.get("/v1/health/state/fine").await.text.trim(), "[]");
}

async fn methods_that_a_path_does_not_have_are_refused_with_those_it_has(target: &Target) {
    for (method, path, allowed) in [
        (Method::POST, "/v1/agent/service/register", "OPTIONS,PUT"),
        (Method::GET, "/v1/agent/check/pass/a", "OPTIONS,PUT"),
        (Method::DELETE, "/v1/agent/services", "OPTIONS,GET"),
        (Method::HEAD, "/v1/health/service/a", "OPTIONS,GET"),
    ] {
        let answer = target.call(method.clone(), path, "").await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
        let asked = target.call(Method::OPTIONS, path, "").await;
        assert_eq!((asked.status.as_u16(), asked.header("allow")), (200, allowed), "{path}");
    }
    said(target, Method::POST, "/v1/agent/services", "", (405, "method POST not allowed")).await;
}

async fn said(target: &Target, method: Method, path: &str, body: &str, wanted: (u16, &str)) {
    let answer = target.call(method.clone(), path, body).await;
    assert_eq!(answer.status, wanted.0, "{method} {path} {body}: {}", answer.text);
    assert!(answer.text.contains(wanted.1), "{method} {path} {body}: {}", answer.text);
    assert!(answer.header("content-type").starts_with("text/plain"), "{method} {path}");
}
