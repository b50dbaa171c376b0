//! What is read, and in what words the rest is refused.

use std::time::Duration;

use proptest::prelude::*;

use super::{catalog, catalog_removal, check, service, update};
use crate::registry::{CheckKind, CheckSpec, Command, ServiceSpec, Status, Thresholds};

fn registered(json: &str) -> (ServiceSpec, Vec<CheckSpec>) {
    match service(json.as_bytes(), "node", false).unwrap() {
        Command::RegisterService { service, checks, .. } => (service, checks),
        other => panic!("{other:?}"),
    }
}

fn refused(json: &str) -> String {
    format!("{:?}", service(json.as_bytes(), "node", false).unwrap_err())
}

#[test]
fn an_id_defaults_to_the_name() {
    let (service, checks) = registered(r#"{"name":"web"}"#);
    assert_eq!((service.id.as_str(), service.port), ("web", 0));
    assert!(checks.is_empty());
}

#[test]
fn checks_are_numbered_when_there_are_several() {
    let ids = |json| registered(json).1.into_iter().map(|check| check.id).collect::<Vec<_>>();
    assert_eq!(ids(r#"{"name":"a","check":{"ttl":"1s"}}"#), ["service:a"]);
    let two = r#"{"name":"a","checks":[{"ttl":"1s"},{"tcp":"a:1","interval":"1s"}]}"#;
    assert_eq!(ids(two), ["service:a:1", "service:a:2"]);
    assert_eq!(ids(r#"{"name":"a","check":{"CheckID":"x","ttl":"1s"}}"#), ["x"]);
}

#[test]
fn reads_an_http_check_with_header_and_bounds() {
    let json = r#"{"Name":"a","Check":{"HTTP":"http://h:1/x","Interval":"10ms","Method":"POST",
        "Header":{"X-A":["1","2"]},"DeregisterCriticalServiceAfter":"90m"}}"#;
    let check = registered(json).1.remove(0);
    assert_eq!(check.deregister_after, Some(Duration::from_secs(5400)));
    let CheckKind::Http { method, header, interval, timeout, .. } = check.kind else {
        panic!("{check:?}")
    };
    assert_eq!((method.as_str(), header.len()), ("POST", 2));
    assert_eq!((interval, timeout), (Duration::from_secs(1), Duration::from_secs(10)));
}

#[test]
fn a_timeout_of_hours_counts_as_five_minutes() {
    let json = r#"{"Name":"a","Check":{"TCP":"h:1","Interval":"1s","Timeout":"1000h"}}"#;
    let CheckKind::Tcp { timeout, .. } = registered(json).1.remove(0).kind else {
        panic!("is another kind")
    };
    assert_eq!(timeout, Duration::from_secs(300));
}

#[test]
fn reads_a_grpc_check_with_its_service_and_thresholds() {
    let json = r#"{"Name":"a","Check":{"GRPC":"h:1/shop.Orders","GRPCUseTLS":true,
        "TLSSkipVerify":true,"Interval":"5s","Timeout":"2s","SuccessBeforePassing":2,
        "FailuresBeforeCritical":3}}"#;
    let check = registered(json).1.remove(0);
    assert_eq!(check.thresholds, Thresholds { passing: 2, critical: 3 });
    let (address, service) = ("h:1".to_owned(), "shop.Orders".to_owned());
    let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(2));
    let kind =
        CheckKind::Grpc { address, service, tls: true, skip_verify: true, interval, timeout };
    assert_eq!(check.kind, kind);
}

#[test]
fn says_what_is_wrong_in_consuls_words() {
    for (json, text) in [
        (r"{}", "Missing service name"),
        (r#"{"name":"a","surprise":1}"#, "unknown field"),
        (r#"{"name":"a","address":"0.0.0.0"}"#, "Invalid service address"),
        (r#"{"name":"a","port":70000}"#, "Port is a number"),
        (r#"{"name":"a","weights":{"passing":0}}"#, "Invalid Weights"),
        (r#"{"name":"a","check":{"tcp":"a:1"}}"#, "Interval must be > 0"),
        (r#"{"name":"a","check":{"interval":"1s"}}"#, "TTL must be > 0"),
        (r#"{"name":"a","check":{"ttl":"1s","interval":"1s"}}"#, "cannot both"),
        (r#"{"name":"a","check":{"ttl":"1s","status":"fine"}}"#, "must 'passing'"),
        (r#"{"name":"a","check":{"http":"ftp://a","interval":"1s"}}"#, "is not a URL"),
        (r#"{"name":"a","check":{"args":["sh"],"interval":"1s"}}"#, "Scripts are disabled"),
        (r#"{"name":"a","check":{"grpc":"a:1"}}"#, "Interval must be > 0"),
        (r#"{"name":"a","check":{"grpc":"a b:1","interval":"1s"}}"#, "is no target"),
        (r#"{"name":"a","check":{"AliasService":"b"}}"#, "not supported"),
        (r#"{"name":"a","meta":{"a b":"c"}}"#, "invalid characters"),
        (r#"{"name":"a\u0000b"}"#, "control characters"),
    ] {
        assert!(refused(json).contains(text), "{json}: {}", refused(json));
    }
}

#[test]
fn the_catalog_needs_a_node_with_an_address_in_this_datacenter() {
    assert!(catalog(br#"{"node":"n"}"#, "dc1").is_err());
    assert!(catalog(br#"{"node":"n","address":"a","datacenter":"dc2"}"#, "dc1").is_err());
    let json = br#"{"node":"n","address":"a","service":{"service":"s","tags":null},
        "check":{"name":"c","status":"passing","serviceid":"s"}}"#;
    let Command::RegisterNode { service, checks, .. } = catalog(json, "dc1").unwrap() else {
        panic!("is another command")
    };
    assert_eq!(service.unwrap().id, "s");
    assert_eq!((checks[0].id.as_str(), checks[0].status), ("c", Some(Status::Passing)));
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused_without_a_panic(body: Vec<u8>) {
        let _ = (service(&body, "n", false), check(&body, "n"), update(&body));
        let _ = (catalog(&body, "dc1"), catalog_removal(&body, "dc1"));
    }
}
