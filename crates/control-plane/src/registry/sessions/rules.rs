//! When a session may begin, and which end with a change of the registry: pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Session, SessionSpec};
use crate::duration;
use crate::registry::{Delta, Key, State, Status};

/// Consul's limits of a session's TTL.
const MIN_TTL: Duration = Duration::from_secs(10);
const MAX_TTL: Duration = Duration::from_secs(86_400);
/// A session of more checks than this means a client that adds them without end.
const MAX_CHECKS: usize = 64;

/// Why a session does not begin. The texts are Consul's where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("Must provide Node")]
    NoNode,
    #[error("Missing node registration")]
    UnknownNode,
    #[error("Missing check '{check}' registration")]
    UnknownCheck { check: String },
    #[error("Check '{check}' is in critical state")]
    CriticalCheck { check: String },
    #[error("Session TTL '{ttl}' invalid: time: invalid duration {ttl:?}")]
    BadTtl { ttl: String },
    #[error("Invalid Session TTL '{nanos}', must be between [10s=24h0m0s]")]
    TtlOutOfRange { nanos: u128 },
    #[error("a session has {MAX_CHECKS} checks at most")]
    TooManyChecks,
    #[error("{count} sessions exist, the most allowed; end some or raise `kv.max_sessions`")]
    TooManySessions { count: usize },
}

/// The session that begins at this index, if it may.
pub(crate) fn create(
    state: &State,
    spec: SessionSpec,
    id: &str,
    index: u64,
    max_sessions: usize,
) -> Result<Session, Refusal> {
    if spec.node.is_empty() {
        return Err(Refusal::NoNode);
    }
    check_ttl(&spec.ttl)?;
    if state.node(&spec.node).is_none() {
        return Err(Refusal::UnknownNode);
    }
    if spec.checks().count() > MAX_CHECKS {
        return Err(Refusal::TooManyChecks);
    }
    for check in spec.checks() {
        match state.check(&Key::new(&spec.node, check)).map(|check| check.status) {
            None => return Err(Refusal::UnknownCheck { check: check.clone() }),
            Some(Status::Critical) => return Err(Refusal::CriticalCheck { check: check.clone() }),
            Some(_) => (),
        }
    }
    let count = state.sessions().len();
    if count >= max_sessions {
        return Err(Refusal::TooManySessions { count });
    }
    Ok(Session { id: id.into(), created: index, spec })
}

fn check_ttl(ttl: &str) -> Result<(), Refusal> {
    if ttl.is_empty() {
        return Ok(());
    }
    let parsed = duration::parse(ttl).ok_or_else(|| Refusal::BadTtl { ttl: ttl.to_owned() })?;
    if parsed.is_zero() || (MIN_TTL..=MAX_TTL).contains(&parsed) {
        return Ok(());
    }
    Err(Refusal::TtlOutOfRange { nanos: parsed.as_nanos() })
}

/// The sessions that end with these changes: their node goes, or a check of theirs goes or turns
/// critical.
pub(crate) fn lost(state: &State, deltas: &[Delta]) -> Vec<Arc<Session>> {
    if state.sessions().len() == 0 {
        return Vec::new();
    }
    let mut lost = BTreeMap::new();
    let mut lose = |session: &Arc<Session>| _ = lost.insert(session.id.clone(), session.clone());
    for delta in deltas {
        match delta {
            Delta::PutCheck(check) if check.status == Status::Critical => {
                state.sessions().of_check(&check.key()).for_each(&mut lose);
            }
            Delta::RemoveCheck(key) => state.sessions().of_check(key).for_each(&mut lose),
            Delta::RemoveNode(name) => {
                let on_node = state.sessions().iter().filter(|session| session.spec.node == *name);
                on_node.for_each(&mut lose);
            }
            _ => (),
        }
    }
    lost.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Behavior, Node};

    fn state() -> State {
        let mut state = State::default();
        let node = Node {
            name: "n".to_owned(),
            id: String::new(),
            address: "127.0.0.1".to_owned(),
            tagged_addresses: BTreeMap::new(),
            meta: BTreeMap::new(),
            created: 1,
            modified: 1,
        };
        state.apply(&[Delta::PutNode(Arc::new(node))], 1);
        state
    }

    fn asked(ttl: &str, checks: usize) -> Result<Session, Refusal> {
        let spec = SessionSpec {
            name: String::new(),
            node: "n".to_owned(),
            ttl: ttl.to_owned(),
            behavior: Behavior::Release,
            lock_delay: Duration::ZERO,
            node_checks: vec!["c".to_owned(); checks],
            service_checks: Vec::new(),
        };
        create(&state(), spec, "id", 7, 1)
    }

    #[test]
    fn a_ttl_has_ten_seconds_to_a_day_or_is_none() {
        for ttl in ["", "0s", "10s", "24h", "86400s"] {
            assert_eq!(asked(ttl, 0).map(|session| session.created), Ok(7), "{ttl}");
        }
        let out_of_range = |ttl: &str| matches!(asked(ttl, 0), Err(Refusal::TtlOutOfRange { .. }));
        assert!(["9.9s", "1ns", "24h1ns"].into_iter().all(out_of_range));
        assert!(matches!(asked("-10s", 0), Err(Refusal::BadTtl { .. })));
    }

    #[test]
    fn checks_have_to_be_there_and_not_too_many() {
        assert_eq!(asked("", 1), Err(Refusal::UnknownCheck { check: "c".to_owned() }));
        assert_eq!(asked("", MAX_CHECKS + 1), Err(Refusal::TooManyChecks));
    }

    #[test]
    fn one_more_than_allowed_is_refused() {
        let mut state = state();
        let first = asked("", 0).unwrap();
        let spec = first.spec.clone();
        state.apply(&[Delta::PutSession(Arc::new(first))], 7);
        let refused = create(&state, spec, "other", 8, 1);
        assert_eq!(refused, Err(Refusal::TooManySessions { count: 1 }));
    }
}
