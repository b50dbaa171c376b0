//! A service that knows nothing of Regatta, run, registered and reached as the others are.

use std::time::Duration;

use nix::sys::signal::Signal;
use regatta_e2e::{Caller, System, python};
use regatta_testkit::wait_until;
use serde_json::{Value, json};

/// The standard library of Python and nothing else.
const CATALOGUE: &str = r#"
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KNOWN = ("PORT", "DATABASE_URL", "CONSUL_HTTP_ADDR", "OTEL_SERVICE_NAME", "GREETING")

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status = 204 if self.path == "/up" else 200
        told = {name: os.environ.get(name) for name in KNOWN}
        body = b"" if status == 204 else json.dumps({"path": self.path, "told": told}).encode()
        self.send_response(status)
        if body:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        print("asked for", self.path, flush=True)

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

#[tokio::test]
async fn a_service_in_python_is_registered_reached_and_kept_running() {
    let system = catalogue("health: /up");
    let gateway = Caller::new(&system.url("gateway").unwrap()).unwrap();

    let answer = gateway.get("/catalogue/items?page=2").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(answer["path"], "/items?page=2");
    let told = &answer["told"];
    assert_eq!(
        (&told["OTEL_SERVICE_NAME"], &told["GREETING"]),
        (&json!("catalogue"), &json!("hi"))
    );
    let registry = system.url("control-plane").unwrap();
    assert_eq!(told["CONSUL_HTTP_ADDR"], registry.as_str());
    assert!(told["DATABASE_URL"].as_str().unwrap().starts_with("sqlite:///"), "{told}");

    let registry = Caller::new(&registry).unwrap();
    let known = registry.get("/v1/health/service/catalogue?passing=1").await.unwrap().json();
    let service = &known[0]["Service"];
    assert_eq!(service["ID"], "catalogue-1", "{known}");
    assert_eq!(service["Port"].to_string(), told["PORT"].as_str().unwrap());
    assert_eq!(checks(&known), ["passing"], "{known}");
    assert!(system.stdout(&["logs", "catalogue"]).unwrap().contains("asked for /up"));

    let instance = system.part("catalogue").unwrap();
    system.replace(&instance, Signal::SIGKILL).await.unwrap();
    // The gateway hears of it from the registry, once its check has passed.
    let answers = async || gateway.get("/catalogue/items").await.unwrap().status == 200;
    wait_until("the service answers again", Duration::from_secs(60), answers).await;
    assert_eq!(system.part("catalogue").unwrap().restarts, 1);
}

#[tokio::test]
async fn a_service_that_only_listens_is_checked_by_connecting() {
    let system = catalogue("");
    let registry = Caller::new(&system.url("control-plane").unwrap()).unwrap();
    let known = registry.get("/v1/health/service/catalogue?passing=1").await.unwrap().json();
    assert_eq!(checks(&known), ["passing"], "{known}");
    let logs = system.stdout(&["logs", "catalogue"]).unwrap();
    assert!(!logs.contains("asked for"), "{logs}");
}

/// A system of one service in Python, with these lines in its part of the manifest.
fn catalogue(lines: &str) -> System {
    let manifest = |folder: &std::path::Path| {
        std::fs::write(folder.join("catalogue.py"), CATALOGUE)?;
        let python = python()?;
        Ok(format!(
            "name: shop
services:
  catalogue:
    run: {{ command: [{:?}, catalogue.py] }}
    database: true
    env: {{ GREETING: hi }}
    {lines}
gateway:
  limits: {{ per_client: none }}
",
            python.display().to_string()
        ))
    };
    System::start_other(manifest).unwrap()
}

/// The states of the checks of the service itself.
fn checks(known: &Value) -> Vec<String> {
    let checks = known[0]["Checks"].as_array().cloned().unwrap_or_default();
    let own = checks.iter().filter(|check| check["ServiceName"] == "catalogue");
    own.map(|check| check["Status"].as_str().unwrap_or_default().to_owned()).collect()
}
