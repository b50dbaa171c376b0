//! What rows take in memory, about.

use std::collections::BTreeMap;

use super::{Check, CheckKind, Delta, Node, Service, State};

/// Of a row beside its texts: the row itself, its places in maps, its indexes.
const ROW: usize = 512;
/// Of a text beside its bytes: where it is, and its place in a list or map.
const TEXT: usize = 48;

pub(super) fn node(node: &Node) -> usize {
    let Node { name, id, address, tagged_addresses, meta, created: _, modified: _ } = node;
    ROW + name.len() + id.len() + address.len() + texts(tagged_addresses) + texts(meta)
}

pub(super) fn service(service: &Service) -> usize {
    let tags: usize = service.tags.iter().map(|tag| TEXT + tag.len()).sum();
    let addresses = service.tagged_addresses.iter();
    let addresses: usize =
        addresses.map(|(name, at)| 2 * TEXT + name.len() + at.address.len()).sum();
    // Its key is written three times: in the row, in the map, under its name.
    let key = 3 * (service.node.len() + service.id.len());
    ROW + key + service.name.len() + service.address.len() + texts(&service.meta) + tags + addresses
}

pub(super) fn check(check: &Check) -> usize {
    let key = 3 * (check.node.len() + check.id.len());
    let subject = check.service_id.len() + check.service_name.len() + check.name.len();
    let asked = if check.definition.is_null() { 0 } else { check.definition.to_string().len() };
    let said = check.notes.len() + check.output.len() + 2 * asked;
    ROW + key + subject + said + kind(&check.kind)
}

fn kind(kind: &CheckKind) -> usize {
    match kind {
        CheckKind::External | CheckKind::Ttl { .. } => 0,
        CheckKind::Tcp { address, .. } => address.len(),
        CheckKind::Grpc { address, service, .. } => address.len() + service.len(),
        CheckKind::Http { url, method, header, body, .. } => {
            let header = header.iter().map(|(name, value)| 2 * TEXT + name.len() + value.len());
            // The schedule has it, too.
            2 * (url.len() + method.len() + body.len() + header.sum::<usize>())
        }
    }
}

fn texts(texts: &BTreeMap<String, String>) -> usize {
    texts.iter().map(|(name, value)| 2 * TEXT + name.len() + value.len()).sum()
}

/// What a state takes after these changes, if they make it larger.
pub(super) fn grown(state: &State, deltas: &[Delta]) -> Option<usize> {
    let (mut added, mut freed) = (0, 0);
    for delta in deltas {
        let (new, old) = match delta {
            Delta::PutNode(row) => (node(row), state.node(&row.name).map(|old| node(old))),
            Delta::PutService(row) => {
                (service(row), state.service(&row.key()).map(|old| service(old)))
            }
            Delta::PutCheck(row) => (check(row), state.check(&row.key()).map(|old| check(old))),
            Delta::RemoveCheck(key) => (0, state.check(key).map(|old| check(old))),
            _ => (0, None),
        };
        added += new;
        freed += old.unwrap_or(0);
    }
    (added > freed).then(|| state.bytes() + (added - freed))
}
