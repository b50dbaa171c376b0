//! The public face of the manifest.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

use regatta_manifest::Manifest;

mod failure_on;
mod files;
mod gateway;
mod properties;
mod route_rules;
mod services;

/// A service that is good, as one line of a map.
const USER: &str = "  user-service: { run: { cargo: user-service } }\n";

fn parse(text: &str) -> Manifest {
    Manifest::parse(text, "regatta.yaml").unwrap()
}

/// The problems, without the name of the file.
fn problems(text: &str) -> Vec<String> {
    let problems = Manifest::parse(text, "regatta.yaml").unwrap_err();
    let line = |p: &regatta_manifest::Problem| format!("{}:{}: {}", p.line, p.column, p.message);
    problems.as_slice().iter().map(line).collect()
}

/// A system with these lines below `services`.
fn services(lines: &str) -> String {
    format!("name: shop\nservices:\n{lines}")
}

/// The problems of a system with this service `a`.
fn service_problems(rest: &str) -> Vec<String> {
    problems(&services(&format!("  a: {{ run: {{ cargo: a }}, {rest} }}\n")))
}

/// The problems of a system with these keys of the gateway.
fn gateway_problems(rest: &str) -> Vec<String> {
    problems(&format!("{}gateway: {rest}\n", services(USER)))
}
