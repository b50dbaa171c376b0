//! The services.

use std::num::NonZeroU16;

use regatta_core::ServiceName;
use regatta_yaml::{Fields, Key, Mark, Node, Problem, Scalar, Value};

use super::scalars;
use super::traffic::traffic;
use crate::{Health, Run, Service, Version};

/// A service with the places of what is checked against other services.
pub(crate) struct Placed {
    pub(crate) service: Service,
    pub(crate) needs: Vec<(ServiceName, Mark)>,
    pub(crate) grpc: Vec<(String, Mark)>,
    pub(crate) port: Option<Mark>,
}

/// Names that mean something else in paths, in `ps` or in the registry.
const RESERVED: [&str; 9] = [
    "console",
    "consul",
    "control-plane",
    "gateway",
    "health",
    "healthz",
    "livez",
    "metrics",
    "readyz",
];

/// Whether a service cannot have this name, since it means something else in paths, in `ps` or in
/// the registry.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Most processes of one service on one machine: above it a manifest most likely has a typo.
const MAX_REPLICAS: i128 = 100;

/// Most services of a system: far above what one machine runs, and a bound on the checks' work.
const MAX_SERVICES: usize = 1000;

/// All services that could be read, and the names of all, readable or not.
pub(super) fn services(
    node: &Node,
    problems: &mut Vec<Problem>,
) -> (Vec<Placed>, Vec<ServiceName>) {
    let entries = match &node.value {
        Value::Map(entries) if !entries.is_empty() => entries.as_slice(),
        other => {
            let message = format!(
                "services: expected a map of services, found {}; write one entry a service, such as \
                 `user-service: {{ run: {{ cargo: user-service }} }}`",
                match other {
                    Value::Map(_) => "an empty one".to_owned(),
                    other => other.found(),
                }
            );
            problems.push(Problem::new(node.mark, message));
            &[]
        }
    };
    if entries.len() > MAX_SERVICES {
        let message = format!(
            "services: {} services are more than {MAX_SERVICES}; split the system",
            entries.len()
        );
        problems.push(Problem::new(node.mark, message));
        return (Vec::new(), Vec::new());
    }
    let mut names = Vec::new();
    let mut services = Vec::new();
    for (key, node) in entries {
        let name = service_name(key, problems);
        names.extend(name.clone());
        services.extend(service(key, name, node, problems));
    }
    (services, names)
}

fn service_name(key: &Key, problems: &mut Vec<Problem>) -> Option<ServiceName> {
    if is_reserved(&key.text) {
        let message = format!("`{0}` is reserved; name the service `{0}-service`", key.text);
        problems.push(Problem::new(key.mark, message));
        return None;
    }
    match ServiceName::try_new(&key.text) {
        Ok(name) => Some(name),
        Err(error) => {
            problems.push(Problem::new(key.mark, error.to_string()));
            None
        }
    }
}

fn service(
    key: &Key,
    name: Option<ServiceName>,
    node: &Node,
    problems: &mut Vec<Problem>,
) -> Option<Placed> {
    let mut fields = Fields::of(node, &format!("services.{}", key.text), problems);
    let run = match fields.take("run") {
        Some(node) => run(node, &fields.name("run"), problems),
        None if matches!(node.value, Value::Map(_) | Value::Null) => {
            let message = format!(
                "service `{0}` has nothing to run; write `run: {{ cargo: {0} }}`, `run: {{ command: \
                 [python, app.py] }}` or `run: {{ image: {0} }}`",
                key.text
            );
            problems.push(Problem::new(key.mark, message));
            None
        }
        None => None,
    };
    let database_name = fields.name("database");
    let database =
        fields.take("database").map(|node| scalars::boolean(node, &database_name, problems));
    let needs = needs(&mut fields, problems);
    let versions_name = fields.name("versions");
    let versions = fields.take("versions").map(|node| versions(node, &versions_name, problems));
    let replicas_name = fields.name("replicas");
    let replicas = fields
        .take("replicas")
        .and_then(|node| scalars::number(node, &replicas_name, (1, MAX_REPLICAS), problems));
    let env_name = fields.name("env");
    let env = fields.take("env").map(|node| env(node, &env_name, problems));
    let port_name = fields.name("port");
    let port_node = fields.take("port");
    let port = port_node.and_then(|node| scalars::number(node, &port_name, (1, 65_535), problems));
    let grpc = grpc(&mut fields, problems);
    let timeout_name = fields.name("timeout");
    let timeout =
        fields.take("timeout").and_then(|node| scalars::duration(node, &timeout_name, problems));
    let traffic_name = fields.name("traffic");
    let traffic = fields.take("traffic").map(|node| traffic(node, &traffic_name, problems));
    let register_name = fields.name("register");
    let register =
        fields.take("register").and_then(|node| scalars::boolean(node, &register_name, problems));
    let health_name = fields.name("health");
    let health = fields.take("health").and_then(|node| health(node, &health_name, problems));
    fields.finish(problems);

    let run = run?;
    let register = register.unwrap_or(!matches!(run, Run::Cargo { .. }));
    let service = Service {
        name: name?,
        line: key.mark.line,
        run,
        database: database.flatten().unwrap_or(false),
        needs: needs.iter().map(|(name, _)| name.clone()).collect(),
        versions: versions.unwrap_or_default(),
        replicas: replicas.and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN),
        env: env.unwrap_or_default(),
        port: port.and_then(NonZeroU16::new),
        grpc: grpc.iter().map(|(name, _)| name.clone()).collect(),
        timeout,
        traffic: traffic.unwrap_or_default(),
        register,
        health: health.unwrap_or(if register { Health::Tcp } else { Health::of_chassis() }),
    };
    Some(Placed { service, needs, grpc, port: port_node.map(|node| node.mark) })
}

fn run(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<Run> {
    const REMEDY: &str = "write one of { cargo: PACKAGE }, { command: [PROGRAM, ARGUMENT] } and { image: REFERENCE }";
    let mut fields = Fields::of(node, name, problems);
    let cargo = fields.take_any("cargo");
    let command = fields.take_any("command");
    let image = fields.take_any("image");
    let before = problems.len();
    let given = [cargo, command, image].iter().flatten().count();
    fields.finish(problems);
    if given != 1 {
        if before == problems.len() && matches!(node.value, Value::Map(_) | Value::Null) {
            let message = format!("{name}: {given} ways to run are given; {REMEDY}");
            problems.push(Problem::new(node.mark, message));
        }
        return None;
    }
    if let Some(node) = cargo {
        let package = scalars::text(node, &format!("{name}.cargo"), problems)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if package.starts_with('-') || !package.chars().all(allowed) {
            let message =
                format!("{name}.cargo: `{package}` is not a package; write its name in Cargo.toml");
            problems.push(Problem::new(node.mark, message));
            return None;
        }
        return Some(Run::Cargo { package });
    }
    if let Some(node) = image {
        let reference = scalars::text(node, &format!("{name}.image"), problems)?;
        return Some(Run::Image { reference });
    }
    let node = command?;
    let name = format!("{name}.command");
    if let Some(scalar) = node.scalar() {
        let words: Vec<_> = scalar.text.split_whitespace().map(regatta_yaml::quote).collect();
        let message = format!(
            "{name}: expected a list, found {}; write [{}] (no shell is involved)",
            scalar.found(),
            words.join(", ")
        );
        problems.push(Problem::new(node.mark, message));
        return None;
    }
    let found = problems.len();
    // Arguments may repeat and may be empty, so this is no list of distinct texts.
    let items = scalars::list(node, &name, problems);
    let argv: Vec<String> = items
        .iter()
        .filter_map(|item| {
            scalars::scalar(item, &name, problems, "a text", |scalar: &Scalar| {
                Ok::<_, String>(scalar.text.clone())
            })
        })
        .collect();
    if found == problems.len() && argv.first().is_none_or(String::is_empty) {
        let message = format!("{name}: there is no program; write [PROGRAM, ARGUMENT]");
        problems.push(Problem::new(node.mark, message));
    }
    (found == problems.len()).then_some(Run::Command { argv })
}

fn health(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<Health> {
    scalars::scalar(node, name, problems, "tcp or a path such as /health", |scalar| {
        let text = scalar.text.as_str();
        match text {
            "tcp" => Ok(Health::Tcp),
            path if is_path(path) => Ok(Health::Http { path: path.to_owned() }),
            _ => Err(scalar.not("tcp or a path", "write one of them, such as /health")),
        }
    })
}

/// A target that can stand in a request's first line as it is.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic())
}

fn needs(fields: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Vec<(ServiceName, Mark)> {
    let name = fields.name("needs");
    let Some(node) = fields.take("needs") else { return Vec::new() };
    let mut marks = Vec::new();
    let names = scalars::items(node, &name, problems, |node, problems| {
        let read = scalars::parsed::<ServiceName>(node, &name, "a service name", problems)?;
        marks.push((read.clone(), node.mark));
        Some(read)
    });
    let mark = |name: &ServiceName| marks.iter().find(|(known, _)| known == name).map(|(_, m)| *m);
    names.into_iter().filter_map(|name| mark(&name).map(|mark| (name, mark))).collect()
}

fn versions(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Vec<Version> {
    let Value::Map(entries) = &node.value else {
        let message = format!(
            "{name}: expected a map of labels and weights, found {}; write {{ v1: 90, v2: 10 }}",
            node.found()
        );
        problems.push(Problem::new(node.mark, message));
        return Vec::new();
    };
    let found = problems.len();
    let mut versions = Vec::new();
    for (key, node) in entries {
        if let Err(error) = label(&key.text) {
            problems.push(Problem::new(key.mark, format!("{name}: {error}")));
        }
        let weight =
            scalars::number(node, &format!("{name}.{}", key.text), (0, 1_000_000), problems);
        versions.extend(weight.map(|weight| Version { label: key.text.clone(), weight }));
    }
    let sum: u64 = versions.iter().map(|version| u64::from(version.weight)).sum();
    if found == problems.len() && sum == 0 {
        let message = format!("{name}: the weights add up to 0; give one version 1 or more");
        problems.push(Problem::new(node.mark, message));
    }
    versions
}

/// Reads one version.
pub(super) fn version(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
    scalars::scalar(node, name, problems, "a version such as v2", |scalar| {
        label(&scalar.text).map(|()| scalar.text.clone())
    })
}

fn label(text: &str) -> Result<(), String> {
    if is_label(text) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is not a version; use up to 63 letters, digits, `-`, `_` and `.`, beginning and \
         ending with a letter or digit"
    ))
}

/// A Kubernetes label value, because that is what it becomes.
fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
}

fn env(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Vec<(String, String)> {
    let Value::Map(entries) = &node.value else {
        let message =
            format!("{name}: expected a map, found {}; write `NAME: value` lines", node.found());
        problems.push(Problem::new(node.mark, message));
        return Vec::new();
    };
    let mut env = Vec::new();
    for (key, node) in entries {
        if let Some(remedy) = refused(&key.text) {
            problems.push(Problem::new(key.mark, format!("{name}: `{}` {remedy}", key.text)));
            continue;
        }
        let name = format!("{name}.{}", key.text);
        let value = scalars::scalar(node, &name, problems, "a text", |scalar| {
            match scalar.text.contains('\0') {
                true => Err("the value has a zero byte, which no variable can hold; remove it"),
                false => Ok(scalar.text.clone()),
            }
        });
        env.extend(value.map(|value| (key.text.clone(), value)));
    }
    env
}

/// Why a manifest may not set this variable: whoever runs the system decides it for each process, and
/// the registry would be told something else than what is so.
fn refused(variable: &str) -> Option<&'static str> {
    match variable {
        "PORT" | "SERVER__PORT" => Some("is given by `port`; write that"),
        "HOST" | "SERVER__HOST" => Some("is given to each process, as is its port; remove it"),
        "SERVICE__VERSION" | "SERVICE_VERSION" => Some("is given by `versions`; write that"),
        "REGATTA_INSTANCE" | "SERVICE__INSTANCE" | "SERVICE__ADVERTISE" | "ADMIN_LISTEN"
        | "ADMIN__LISTEN" => Some("is given to each process; remove it"),
        "REGATTA_HOME" | "REGATTA_CONFIG_SHOW" => Some("is for `regatta` alone; remove it"),
        text if !is_variable(text) => {
            Some("is not a variable; use letters, digits and `_`, not beginning with a digit")
        }
        _ => None,
    }
}

fn is_variable(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn grpc(fields: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Vec<(String, Mark)> {
    let name = fields.name("grpc");
    let Some(node) = fields.take("grpc") else { return Vec::new() };
    let mut marks = Vec::new();
    scalars::items(node, &name, problems, |node, problems| {
        let text = scalars::text(node, &name, problems)?;
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with(|c: char| c.is_ascii_digit())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if !text.split('.').all(part) {
            let message = format!(
                "{name}: `{text}` is not the full name of a gRPC service; write package and \
                 service, such as userservice.UserService"
            );
            problems.push(Problem::new(node.mark, message));
            return None;
        }
        if !marks.iter().any(|(known, _)| *known == text) {
            marks.push((text.clone(), node.mark));
        }
        Some(text)
    });
    marks
}
