//! The gateway.

use std::net::IpAddr;
use std::num::NonZeroU16;

use regatta_yaml::{Fields, Mark, Node, Problem};

use super::service::version;
use super::traffic::traffic;
use super::{limit, scalars};
use crate::{AccessLog, Auth, Gateway, Keys, Limits, PerClient, Requirement, Route, Timeouts};

/// The gateway with the places of what is checked against the rest.
#[derive(Default)]
pub(crate) struct PlacedGateway {
    pub(crate) gateway: Gateway,
    pub(crate) listen: Option<Mark>,
    pub(crate) admin: Option<Mark>,
    pub(crate) routes: Vec<PlacedRoute>,
}

/// The places of a route.
pub(crate) struct PlacedRoute {
    pub(crate) path: Mark,
    /// What the rule itself says about tokens.
    pub(crate) auth: Option<(Requirement, Mark)>,
    pub(crate) roles: Option<Mark>,
    pub(crate) version: Option<Mark>,
}

const REQUIREMENTS: [(&str, Requirement); 3] = [
    ("none", Requirement::None),
    ("optional", Requirement::Optional),
    ("required", Requirement::Required),
];

pub(super) fn gateway(node: Option<&Node>, problems: &mut Vec<Problem>) -> PlacedGateway {
    let mut placed = PlacedGateway::default();
    let Some(node) = node else { return placed };
    let mut fields = Fields::of(node, "gateway", problems);
    let gateway = &mut placed.gateway;
    if let Some(node) = fields.take("listen") {
        placed.listen = Some(node.mark);
        let read = scalars::address(node, "gateway.listen", problems);
        gateway.listen = read.unwrap_or(gateway.listen);
    }
    if let Some(node) = fields.take("admin") {
        placed.admin = Some(node.mark);
        gateway.admin = match node.scalar().map(|scalar| scalar.text.as_str()) {
            Some("none") => None,
            _ => scalars::address(node, "gateway.admin", problems),
        };
    }
    if let Some(node) = fields.take("workers") {
        let workers = scalars::number(node, "gateway.workers", (1, 1024), problems);
        gateway.workers = workers.and_then(NonZeroU16::new);
    }
    gateway.auth = fields.take("auth").and_then(|node| auth(node, problems));
    let has_auth = gateway.auth.is_some();
    let read = fields.take("limits").map(|node| limits(node, has_auth, problems));
    gateway.limits = read.unwrap_or_default();
    gateway.timeouts = fields.take("timeouts").map(|n| timeouts(n, problems)).unwrap_or_default();
    if let Some(node) = fields.take("retries") {
        gateway.retries = scalars::number(node, "gateway.retries", (0, 3), problems);
    }
    if let Some(node) = fields.take("traffic") {
        gateway.traffic = traffic(node, "gateway.traffic", problems);
    }
    if let Some(node) = fields.take("trusted_hops") {
        gateway.trusted_hops = scalars::items(node, "gateway.trusted_hops", problems, hop);
    }
    if let Some(node) = fields.take("access_log") {
        let choices =
            [("off", AccessLog::Off), ("json", AccessLog::Json), ("text", AccessLog::Text)];
        let read = scalars::choice(node, "gateway.access_log", &choices, problems);
        gateway.access_log = read.unwrap_or_default();
    }
    if let Some(node) = fields.take("routes") {
        for (index, node) in scalars::list(node, "gateway.routes", problems).iter().enumerate() {
            let name = format!("gateway.routes[{index}]");
            if let Some((route, place)) = route(node, &name, has_auth, &gateway.limits, problems) {
                gateway.routes.push(route);
                placed.routes.push(place);
            }
        }
    }
    fields.finish(problems);
    placed
}

fn auth(node: &Node, problems: &mut Vec<Problem>) -> Option<Auth> {
    let mut fields = Fields::of(node, "gateway.auth", problems);
    let issuer = match fields.take("issuer") {
        Some(node) => scalars::text(node, "gateway.auth.issuer", problems),
        None => {
            let message =
                "gateway.auth has no issuer; write `issuer: dev`, the `iss` of its tokens";
            problems.push(Problem::new(node.mark, message));
            None
        }
    };
    let audience = fields
        .take("audience")
        .and_then(|node| scalars::text(node, "gateway.auth.audience", problems));
    let default = fields
        .take("default")
        .and_then(|node| scalars::choice(node, "gateway.auth.default", &REQUIREMENTS, problems));
    let keys = fields.take("keys").and_then(|node| keys(node, problems));
    let secret = fields
        .take("secret")
        .and_then(|node| scalars::boolean(node, "gateway.auth.secret", problems));
    if secret == Some(false) && keys.is_none() {
        let message = "gateway.auth: without the secret nothing verifies a token; write \
                       `keys: { file: keys.json }` or `secret: true`";
        problems.push(Problem::new(node.mark, message));
    }
    fields.finish(problems);
    let secret = secret.unwrap_or(keys.is_none());
    let default = default.unwrap_or(Requirement::Optional);
    // Without an issuer the manifest is refused anyway; rules shall not be blamed for that too.
    Some(Auth { issuer: issuer.unwrap_or_default(), audience, default, keys, secret })
}

/// Where the issuer's public keys are: a file or a URL.
fn keys(node: &Node, problems: &mut Vec<Problem>) -> Option<Keys> {
    let mut fields = Fields::of(node, "gateway.auth.keys", problems);
    let file = fields.take("file");
    let url = fields.take("url");
    fields.finish(problems);
    match (file, url) {
        (Some(node), None) => {
            let file = scalars::text(node, "gateway.auth.keys.file", problems)?;
            Some(Keys::File(file.into()))
        }
        (None, Some(node)) => {
            let name = "gateway.auth.keys.url";
            let url = scalars::text(node, name, problems)?;
            if url.starts_with("https://") || url.starts_with("http://") {
                return Some(Keys::Url(url));
            }
            let message = format!("{name}: `{url}` is not a URL of HTTP; begin it with https://");
            problems.push(Problem::new(node.mark, message));
            None
        }
        _ => {
            let message = "gateway.auth.keys: write one of { file: keys.json } and \
                           { url: https://issuer/.well-known/jwks.json }";
            problems.push(Problem::new(node.mark, message));
            None
        }
    }
}

fn limits(node: &Node, has_auth: bool, problems: &mut Vec<Problem>) -> Limits {
    let mut fields = Fields::of(node, "gateway.limits", problems);
    let mut limits = Limits::default();
    if let Some(node) = fields.take("per_client") {
        let name = "gateway.limits.per_client";
        limits.per_client = match node.scalar().map(|scalar| scalar.text.as_str()) {
            Some("none") => Some(PerClient::Unlimited),
            _ => scalars::parsed(node, name, "a rate such as 60/min", problems)
                .map(PerClient::AtMost),
        };
    }
    if let Some(node) = fields.take("key") {
        limits.key = limit::key(node, "gateway.limits.key", has_auth, problems);
    }
    if let Some(node) = fields.take("burst") {
        let rate = match limits.per_client {
            Some(PerClient::AtMost(rate)) => Some(rate),
            _ => None,
        };
        limits.burst = limit::burst(node, "gateway.limits.burst", rate, problems);
    }
    if let Some(node) = fields.take("max_bytes") {
        limits.max_bytes = limit::max_bytes(node, "gateway.limits.max_bytes", problems);
    }
    if let Some(node) = fields.take("url") {
        limits.url = redis(node, "gateway.limits.url", problems);
    }
    if let Some(node) = fields.take("on_outage") {
        limits.on_outage = limit::on_outage(node, "gateway.limits.on_outage", problems);
        if limits.url.is_none() {
            let message = "gateway.limits.on_outage: nothing is shared; write `url: redis://HOST` \
                           or remove it";
            problems.push(Problem::new(node.mark, message));
        }
    }
    for (key, place, most) in [
        ("connections", &mut limits.connections, 1_000_000),
        ("headers", &mut limits.headers, 128),
        ("http2_streams", &mut limits.http2_streams, 100_000),
        ("idle_upstream", &mut limits.idle_upstream, 100_000),
    ] {
        let name = fields.name(key);
        let least = if key == "headers" { 8 } else { 1 };
        *place =
            fields.take(key).and_then(|node| scalars::number(node, &name, (least, most), problems));
    }
    for (key, place, range) in [
        ("header_bytes", &mut limits.header_bytes, (1024, 1 << 20)),
        ("target_bytes", &mut limits.target_bytes, (64, 1 << 20)),
        ("body_bytes", &mut limits.body_bytes, (1, 1 << 40)),
    ] {
        let name = fields.name(key);
        *place = fields.take(key).and_then(|node| scalars::bytes(node, &name, range, problems));
    }
    fields.finish(problems);
    limits
}

fn redis(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let url = scalars::text(node, name, problems)?;
    if url.starts_with("redis://") || url.starts_with("rediss://") {
        return Some(url);
    }
    let message = format!("{name}: `{url}` is not a URL of Redis; write redis://HOST[:PORT]");
    problems.push(Problem::new(node.mark, message));
    None
}

fn timeouts(node: &Node, problems: &mut Vec<Problem>) -> Timeouts {
    let mut fields = Fields::of(node, "gateway.timeouts", problems);
    let mut timeouts = Timeouts::default();
    for (key, place) in [
        ("header_read", &mut timeouts.header_read),
        ("body_idle", &mut timeouts.body_idle),
        ("idle", &mut timeouts.idle),
        ("upstream_idle", &mut timeouts.upstream_idle),
        ("connect", &mut timeouts.connect),
        ("request", &mut timeouts.request),
        ("drain", &mut timeouts.drain),
        ("tunnel_idle", &mut timeouts.tunnel_idle),
    ] {
        let name = fields.name(key);
        *place = fields.take(key).and_then(|node| scalars::duration(node, &name, problems));
    }
    fields.finish(problems);
    timeouts
}

/// An address or a range of addresses.
fn hop(node: &Node, problems: &mut Vec<Problem>) -> Option<String> {
    scalars::scalar(node, "gateway.trusted_hops", problems, "an address or range", |scalar| {
        let (address, prefix) =
            scalar.text.split_once('/').map_or((&*scalar.text, None), |(a, p)| (a, Some(p)));
        let most = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => Some(32),
            Ok(IpAddr::V6(_)) => Some(128),
            Err(_) => None,
        };
        let fits = |most| prefix.is_none_or(|p| p.parse::<u8>().is_ok_and(|p| p <= most));
        match most.is_some_and(fits) {
            true => Ok(scalar.text.clone()),
            false => Err(scalar.not(
                "an address or a range",
                "write an address or a range, such as 10.1.2.3, 10.0.0.0/8 or fd00::/8",
            )),
        }
    })
}

fn route(
    node: &Node,
    name: &str,
    has_auth: bool,
    limits: &Limits,
    problems: &mut Vec<Problem>,
) -> Option<(Route, PlacedRoute)> {
    let mut fields = Fields::of(node, name, problems);
    let path_name = fields.name("path");
    let path_node = fields.take("path");
    let path = match path_node {
        Some(node) => path(node, &path_name, problems),
        None => {
            let message =
                format!("{name} has no path; write `path: /user-service/**` or another one");
            problems.push(Problem::new(node.mark, message));
            None
        }
    };
    let methods_name = fields.name("methods");
    let methods = fields.take("methods").map(|node| {
        scalars::items(node, &methods_name, problems, |n, p| method(n, &methods_name, p))
    });
    let auth_name = fields.name("auth");
    let auth = fields.take("auth").and_then(|node| {
        Some((scalars::choice(node, &auth_name, &REQUIREMENTS, problems)?, node.mark))
    });
    let roles_name = fields.name("roles");
    let roles_node = fields.take("roles");
    let roles = roles_node.map(|node| {
        scalars::items(node, &roles_name, problems, |n, p| scalars::text(n, &roles_name, p))
    });
    let timeout_name = fields.name("timeout");
    let timeout =
        fields.take("timeout").and_then(|node| scalars::duration(node, &timeout_name, problems));
    let limit_name = fields.name("rate_limit");
    let rate_limit = fields
        .take("rate_limit")
        .and_then(|node| limit::of_route(node, &limit_name, has_auth, limits, problems));
    let version_name = fields.name("version");
    let version_node = fields.take("version");
    let version = version_node.and_then(|node| version(node, &version_name, problems));
    fields.finish(problems);
    let default = if has_auth { Requirement::Required } else { Requirement::None };
    let route = Route {
        line: node.mark.line,
        path: path?,
        methods: methods.unwrap_or_default(),
        auth: auth.map_or(default, |(auth, _)| auth),
        roles: roles.unwrap_or_default(),
        timeout,
        rate_limit,
        version,
    };
    let path = path_node.map_or(node.mark, |node| node.mark);
    let (roles, version) = (roles_node.map(|node| node.mark), version_node.map(|node| node.mark));
    Some((route, PlacedRoute { path, auth, roles, version }))
}

fn path(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let text = scalars::text(node, name, problems)?;
    let segments: Vec<_> = text.strip_prefix('/').unwrap_or(&text).split('/').collect();
    let placeholder = |segment: &str| {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        segment == "*" || name.is_some_and(|name| !name.is_empty() && !name.contains(['{', '}']))
    };
    let literal = |segment: &str| !segment.contains(['*', '{', '}', '?', '#', ' ']);
    let good = |(index, segment): (usize, &&str)| {
        let last = index + 1 == segments.len();
        (*segment == "**" && last)
            || placeholder(segment)
            || (literal(segment) && (last || !segment.is_empty()))
    };
    let remedy = if !text.starts_with('/') {
        "begin it with `/`"
    } else if !segments.iter().enumerate().all(good) {
        "each segment is a text, `*`, `{name}` or, as the last one, `**`"
    } else {
        return Some(text);
    };
    let message = format!("{name}: `{text}` is not a path pattern; {remedy}");
    problems.push(Problem::new(node.mark, message));
    None
}

fn method(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
    scalars::scalar(node, name, problems, "a method such as GET", |scalar| {
        let text = &scalar.text;
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') {
            return Ok(text.clone());
        }
        let capitals = text.to_ascii_uppercase();
        let letters = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphabetic());
        let remedy =
            if letters { format!("write {capitals}") } else { "write such as GET".to_owned() };
        Err(scalar.not("a method in capitals", &remedy))
    })
}
