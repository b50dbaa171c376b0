//! How many requests a client may send, for the whole gateway and for a route.

use regatta_yaml::{Fields, Node, Problem};

use super::scalars;
use crate::{LimitKey, Limits, OnOutage, Rate, RouteLimit};

/// Reads the limit of a route: a rate, or a map with one.
pub(super) fn of_route(
    node: &Node,
    name: &str,
    has_auth: bool,
    shared: &Limits,
    problems: &mut Vec<Problem>,
) -> Option<RouteLimit> {
    const EXPECTED: &str = "a rate such as 5/min";
    let none = RouteLimit {
        per_client: Rate::PER_SECOND,
        key: None,
        burst: None,
        on_outage: None,
        max_bytes: None,
    };
    if node.scalar().is_some() {
        let rate = scalars::parsed(node, name, EXPECTED, problems)?;
        return Some(RouteLimit { per_client: rate, ..none });
    }
    let mut fields = Fields::of(node, name, problems);
    let found = problems.len();
    let rate_name = fields.name("per_client");
    let rate = match fields.take("per_client") {
        Some(node) => scalars::parsed::<Rate>(node, &rate_name, EXPECTED, problems),
        None => {
            if found == problems.len() {
                let message = format!("{name} has no rate; write `per_client: 5/min`");
                problems.push(Problem::new(node.mark, message));
            }
            None
        }
    };
    let (key_name, burst_name) = (fields.name("key"), fields.name("burst"));
    let (outage_name, bytes_name) = (fields.name("on_outage"), fields.name("max_bytes"));
    let key = fields.take("key").and_then(|node| key(node, &key_name, has_auth, problems));
    let burst = fields.take("burst").and_then(|node| burst(node, &burst_name, rate, problems));
    let on_outage = fields.take("on_outage").and_then(|node| {
        if shared.url.is_none() {
            let message = format!(
                "{outage_name}: nothing is shared; write `gateway.limits.url: redis://HOST` or \
                 remove it"
            );
            problems.push(Problem::new(node.mark, message));
        }
        on_outage(node, &outage_name, problems)
    });
    let max_bytes =
        fields.take("max_bytes").and_then(|node| max_bytes(node, &bytes_name, problems));
    fields.finish(problems);
    Some(RouteLimit { per_client: rate?, key, burst, on_outage, max_bytes })
}

/// Reads who a client is.
pub(super) fn key(
    node: &Node,
    name: &str,
    has_auth: bool,
    problems: &mut Vec<Problem>,
) -> Option<LimitKey> {
    const EXPECTED: &str = "client_id, address, user or header:NAME";
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let key = scalars::scalar(node, name, problems, EXPECTED, |scalar| {
        match (scalar.text.as_str(), scalar.text.strip_prefix("header:")) {
            ("client_id", _) => Ok(LimitKey::ClientId),
            ("address", _) => Ok(LimitKey::Address),
            ("user", _) => Ok(LimitKey::User),
            (_, Some(field)) if !field.is_empty() && field.bytes().all(is_token) => {
                Ok(LimitKey::Header(field.to_ascii_lowercase()))
            }
            _ => Err(scalar.not(EXPECTED, "write one of them, such as header:x-tenant")),
        }
    })?;
    if key == LimitKey::User && !has_auth {
        let message = format!(
            "{name}: without `auth` nobody is known as a user; add it, or write `key: address`"
        );
        problems.push(Problem::new(node.mark, message));
    }
    Some(key)
}

/// Reads how many requests of a rate may come at once.
pub(super) fn burst(
    node: &Node,
    name: &str,
    rate: Option<Rate>,
    problems: &mut Vec<Problem>,
) -> Option<u32> {
    let burst = scalars::number(node, name, (1, 1_000_000), problems)?;
    // All of a rate at once would leave one request a window to a client that never rests.
    let most = rate.map_or(u32::MAX, |rate| rate.count.get().saturating_sub(1).max(1));
    if burst > most {
        let message = format!(
            "{name}: `{burst}` leaves nothing of per_client to a client that never rests; use 1 to \
             {most}, or remove it, so that all may come at once"
        );
        problems.push(Problem::new(node.mark, message));
    }
    Some(burst)
}

pub(super) fn on_outage(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<OnOutage> {
    let choices =
        [("admit", OnOutage::Admit), ("refuse", OnOutage::Refuse), ("count", OnOutage::Count)];
    scalars::choice(node, name, &choices, problems)
}

/// Reads the memory of a limiter; with less than this there are no clients to speak of.
pub(super) fn max_bytes(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<u64> {
    scalars::bytes(node, name, (1 << 20, 1 << 36), problems)
}
