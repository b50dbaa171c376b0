//! The command line client `consul`, unmodified, against both servers.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use regatta_testkit::{consul, consul_command};

use super::Target;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_consul_works_with_the_control_plane() {
    let (_server, target) = super::embedded().await;
    suite(&target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_consul_works_with_a_real_consul() {
    let (_server, target) = super::real().await;
    suite(&target).await;
}

async fn suite(target: &Target) {
    services_are_registered_and_listed(target).await;
    a_watch_is_told_of_changes(target).await;
    maintenance_is_put_on_and_off(target).await;
    the_agent_tells_of_itself(target).await;
    keys_are_put_listed_and_deleted(target);
    a_command_runs_under_a_lock(target);
    a_watch_of_keys_is_told_of_changes(target).await;
    an_event_reaches_who_lists_them(target).await;
}

async fn services_are_registered_and_listed(target: &Target) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.json");
    let text = r#"{"Service":{"ID":"w1","Name":"web","Address":"10.0.0.1","Port":80,"Tags":["a"],
        "Check":{"TTL":"1h","Status":"passing"}}}"#;
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    assert!(run(target, &["services", "register", file]).contains("Registered service: web"));
    run(target, &["services", "register", "-name=plain", "-port=81", "-tag=b", "-meta=k=v"]);
    target.until("/v1/health/service/web?passing", |found| found[0].is_object()).await;
    target.until("/v1/catalog/service/plain", |found| found[0].is_object()).await;
    let services = run(target, &["catalog", "services", "-tags"]);
    assert!(services.contains("consul") && services.contains("plain"), "{services}");
    let nodes = run(target, &["catalog", "nodes", "-service=web"]);
    assert!(nodes.contains(&target.node), "{nodes}");
    assert_eq!(run(target, &["catalog", "datacenters"]).trim(), "dc1");
    run(target, &["services", "deregister", "-id=w1"]);
    run(target, &["services", "deregister", "-id=plain"]);
    target.until("/v1/catalog/services", |names| names["web"].is_null()).await;
}

async fn a_watch_is_told_of_changes(target: &Target) {
    let mut watch = start(target, &["watch", "-type=service", "-service=seen", "cat"]);
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "[]");
    target.done("/v1/agent/service/register", r#"{"name":"seen","port":7}"#).await;
    let told = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap()).await.unwrap();
    assert!(told.contains("\"Port\":7"), "{told}");
    watch.kill().unwrap();
    watch.wait().unwrap();
    let names = run(target, &["watch", "-type=services"]);
    assert!(names.contains("seen"), "{names}");
    let nodes = run(target, &["watch", "-type=nodes"]);
    assert!(nodes.contains(&target.node), "{nodes}");
    let checks = run(target, &["watch", "-type=checks", "-state=any"]);
    assert!(checks.contains("serfHealth"), "{checks}");
}

async fn maintenance_is_put_on_and_off(target: &Target) {
    run(target, &["maint", "-enable", "-service=seen", "-reason=because"]);
    let shown = run(target, &["maint"]);
    assert!(shown.contains("seen") && shown.contains("because"), "{shown}");
    target.until("/v1/health/service/seen?passing", |found| found[0].is_null()).await;
    run(target, &["maint", "-disable", "-service=seen"]);
    run(target, &["maint", "-enable"]);
    run(target, &["maint", "-disable"]);
    target.until("/v1/health/service/seen?passing", |found| found[0].is_object()).await;
    run(target, &["services", "deregister", "-id=seen"]);
}

async fn the_agent_tells_of_itself(target: &Target) {
    let members = run(target, &["members"]);
    assert!(members.contains(&target.node) && members.contains("alive"), "{members}");
    let info = run(target, &["info"]);
    assert!(info.contains("leader = true"), "{info}");
}

fn keys_are_put_listed_and_deleted(target: &Target) {
    assert!(run(target, &["kv", "put", "shop/a", "one"]).contains("Success"));
    run(target, &["kv", "put", "-flags=42", "shop/b/c", "two"]);
    assert_eq!(run(target, &["kv", "get", "shop/a"]), "one\n");
    let detailed = run(target, &["kv", "get", "-detailed", "shop/b/c"]);
    assert!(detailed.lines().any(|line| line.starts_with("Flags") && line.ends_with("42")));
    assert_eq!(run(target, &["kv", "get", "-keys", "shop/"]), "shop/a\nshop/b/\n");
    assert_eq!(run(target, &["kv", "get", "-recurse", "shop"]), "shop/a:one\nshop/b/c:two\n");
    let refused = consul(&target.address, &["kv", "put", "-cas", "-modify-index=1", "shop/a", "x"]);
    assert!(!refused.unwrap().status.success());
    let exported = run(target, &["kv", "export", "shop/"]);
    run(target, &["kv", "delete", "-recurse", "shop/"]);
    assert!(!consul(&target.address, &["kv", "get", "shop/a"]).unwrap().status.success());
    run(target, &["kv", "import", &exported]);
    assert_eq!(run(target, &["kv", "get", "shop/b/c"]), "two\n");
}

fn a_command_runs_under_a_lock(target: &Target) {
    // Its child runs while it holds the lock.
    let said = run(target, &["lock", "-child-exit-code", "leader", "echo held"]);
    assert!(said.contains("held"), "{said}");
    let said = run(target, &["lock", "-n=3", "-child-exit-code", "slots", "echo held"]);
    assert!(said.contains("held"), "{said}");
}

async fn a_watch_of_keys_is_told_of_changes(target: &Target) {
    run(target, &["kv", "put", "watched/a", "1"]);
    let mut watch = start(target, &["watch", "-type=keyprefix", "-prefix=watched/", "cat"]);
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("watched/a"));
    target.done("/v1/kv/watched/b", "2").await;
    let told = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap()).await.unwrap();
    assert!(told.contains("watched/b"), "{told}");
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(run(target, &["watch", "-type=key", "-key=watched/a"]).contains("watched/a"));
}

async fn an_event_reaches_who_lists_them(target: &Target) {
    assert!(run(target, &["event", "-name=deploy", "v2"]).contains("Event ID"));
    target.until("/v1/event/list?name=deploy", |all| all[0]["Payload"] == "djI=").await;
}

/// Runs a command that has to succeed.
fn run(target: &Target, arguments: &[&str]) -> String {
    let output = consul(&target.address, arguments).unwrap_or_else(|error| panic!("{error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "consul {arguments:?}: {said}{wrong}");
    said
}

fn start(target: &Target, arguments: &[&str]) -> Child {
    let mut command = consul_command(&target.address, arguments);
    command.stdout(Stdio::piped()).spawn().expect("`cargo xtask test` gets consul")
}
