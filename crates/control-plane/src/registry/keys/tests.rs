//! Keys, locks and sessions against a simple model, over time and restarts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::model::{KEYS, Live, Model, Op, PREFIXES, Row};
use super::{KeyOperation, Write};
use crate::registry::{
    Behavior, CheckKind, CheckSpec, Command, Limits, NodeSpec, Record, SessionSpec, State, Status,
    Thresholds, Timers, Topic, Turn,
};

#[derive(Clone, Debug)]
enum Action {
    /// Operations of one request.
    Keys(Vec<Op>),
    Create {
        ttl: bool,
        delete: bool,
        delay: u64,
        checked: bool,
    },
    Destroy(usize),
    Renew(usize),
    /// The check turns critical, and passes again.
    Critical,
    Pass(u64),
    /// From the log, or from a snapshot.
    Restart {
        snapshot: bool,
    },
}

/// The registry with what stands around it.
struct Real {
    state: State,
    timers: Timers,
    disk: Vec<Record>,
    limits: Limits,
    start: Instant,
}

impl Real {
    fn new() -> Self {
        let limits = Limits {
            nodes: 9,
            services: 9,
            registry_bytes: 1 << 20,
            checks_per_service: 9,
            own_node: "n".to_owned(),
            sessions: 1000,
            key_bytes: 1 << 20,
        };
        let start = tokio::time::Instant::now().into_std();
        let (state, timers) = (State::default(), Timers::default());
        let mut real = Self { state, timers, disk: Vec::new(), limits, start };
        real.turn(0, |turn| turn.command(node()).unwrap());
        real.turn(0, |turn| turn.command(check(Status::Passing)).unwrap());
        real
    }

    fn turn<T>(&mut self, now: u64, act: impl FnOnce(&mut Turn<'_>) -> T) -> T {
        let mut steps = Vec::new();
        let now = self.start + Duration::from_secs(now);
        let mut turn = Turn::new(&mut self.state, &mut steps, &mut self.timers, &self.limits, now);
        let result = act(&mut turn);
        self.disk.extend(steps.iter().map(Record::durable));
        result
    }

    fn restart(&mut self, now: u64, snapshot: bool) {
        if snapshot {
            self.disk = self.state.image().collect();
        }
        self.state = State::default();
        for record in &self.disk {
            self.state.restore(&Record::decode(&record.encode()).unwrap());
        }
        self.state.settle();
        self.timers = Timers::default();
        self.timers.align(self.start + Duration::from_secs(now), self.state.sessions());
    }

    fn rows(&self) -> BTreeMap<&'static str, Row> {
        let row = |pair: &super::Pair| {
            let key = KEYS.into_iter().find(|key| **key == *pair.key).unwrap();
            let holder = pair.session.as_deref().map(str::to_owned);
            let (value, locks) = (pair.value[0], pair.lock_index);
            (key, Row { value, locks, holder, created: pair.created, modified: pair.modified })
        };
        self.state.keys().all().map(|pair| row(pair)).collect()
    }

    /// What queries on each key and prefix see, with their indexes.
    fn shown(&self) -> Vec<(String, u64)> {
        let rows = self.rows();
        let prefixes = PREFIXES.iter().map(|prefix| {
            let found = rows.iter().filter(|(key, _)| key.starts_with(prefix));
            let found: Vec<_> = found.collect();
            (format!("{found:?}"), self.state.index_of(&Topic::Prefix((*prefix).into())))
        });
        let keys = KEYS.iter().map(|key| {
            (format!("{:?}", rows.get(key)), self.state.index_of(&Topic::Key((*key).into())))
        });
        let sessions: Vec<_> = self.state.sessions().iter().map(|s| s.id.to_string()).collect();
        let sessions = (format!("{sessions:?}"), self.state.index_of(&Topic::Sessions));
        prefixes.chain(keys).chain([sessions]).collect()
    }

    fn operation(&self, op: Op) -> KeyOperation {
        let write = |key: usize, value: u8| Write {
            key: KEYS[key].into(),
            value: vec![value].into(),
            flags: 0,
        };
        let key = |key: usize| KEYS[key].into();
        let index = |key: usize, right: bool| {
            let modified = self.state.keys().get(KEYS[key]).map_or(1, |pair| pair.modified);
            if right { modified } else { modified + 1000 }
        };
        match op {
            Op::Set(key, value) => KeyOperation::Set(write(key, value)),
            Op::SetAt(key, value, right) => {
                KeyOperation::SetAt(write(key, value), index(key, right))
            }
            Op::SetNew(key, value) => KeyOperation::SetAt(write(key, value), 0),
            Op::Lock(key, value, s) => KeyOperation::Lock(write(key, value), format!("s{s}")),
            Op::Unlock(key, value, s) => KeyOperation::Unlock(write(key, value), format!("s{s}")),
            Op::Get(at) => KeyOperation::Get(key(at)),
            Op::CheckSession(at, s) => KeyOperation::CheckSession(key(at), format!("s{s}")),
            Op::CheckNotExists(at) => KeyOperation::CheckNotExists(key(at)),
            Op::CheckIndex(at, right) => KeyOperation::CheckIndex(key(at), index(at, right)),
            Op::Delete(at) => KeyOperation::Delete(key(at)),
            Op::DeleteAt(at, right) => KeyOperation::DeleteAt(key(at), index(at, right)),
            Op::DeleteTree(prefix) => KeyOperation::DeleteTree(PREFIXES[prefix].into()),
        }
    }
}

fn node() -> Command {
    let node = NodeSpec {
        name: "n".to_owned(),
        id: String::new(),
        address: "127.0.0.1".to_owned(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
    };
    Command::RegisterNode { node, skip_update: false, service: None, checks: Vec::new() }
}

fn check(status: Status) -> Command {
    let check = CheckSpec {
        node: "n".to_owned(),
        id: "c".to_owned(),
        name: "c".to_owned(),
        status: Some(status),
        notes: String::new(),
        output: String::new(),
        service_id: String::new(),
        kind: CheckKind::External,
        deregister_after: None,
        thresholds: Thresholds::default(),
        definition: serde_json::Value::Null,
    };
    Command::RegisterCheck { check }
}

/// Whether all these operations can be judged by indexes known before the request.
fn is_plain(ops: &[Op]) -> bool {
    let uses_index = |op: &Op| matches!(op, Op::SetAt(..) | Op::CheckIndex(..) | Op::DeleteAt(..));
    ops.len() == 1 || !ops.iter().any(uses_index)
}

fn act(model: &mut Model, real: &mut Real, action: &Action) {
    let now = model.now;
    match action {
        Action::Keys(ops) => {
            let operations: Vec<_> = ops.iter().map(|op| real.operation(*op)).collect();
            let done = real.turn(now, |turn| turn.keys(&operations));
            assert_eq!(done.is_ok(), model.keys(ops), "{done:?}");
        }
        Action::Create { ttl, delete, delay, checked } => {
            let id = format!("s{}", model.made);
            let spec = SessionSpec {
                name: String::new(),
                node: "n".to_owned(),
                ttl: if *ttl { "10s".to_owned() } else { String::new() },
                behavior: if *delete { Behavior::Delete } else { Behavior::Release },
                lock_delay: Duration::from_secs(*delay),
                node_checks: if *checked { vec!["c".to_owned()] } else { Vec::new() },
                service_checks: Vec::new(),
            };
            real.turn(now, |turn| turn.create_session(spec, &id)).unwrap();
            let ends = ttl.then_some(now + 15);
            let live = Live { ends, ttl: *ttl, delete: *delete, delay: *delay, checked: *checked };
            model.sessions.insert(id, live);
            model.made += 1;
            model.index += 1;
        }
        Action::Destroy(session) => {
            let id = format!("s{session}");
            real.turn(now, |turn| turn.destroy_session(&id));
            if model.sessions.contains_key(&id) {
                model.end(&[id]);
            }
        }
        Action::Renew(session) => {
            let id = format!("s{session}");
            let renewed = real.turn(now, |turn| turn.renew_session(&id).is_some());
            assert_eq!(renewed, model.sessions.contains_key(&id));
            if let Some(live) = model.sessions.get_mut(&id) {
                live.ends = live.ttl.then_some(now + 15);
            }
        }
        Action::Critical => {
            for status in [Status::Critical, Status::Passing] {
                real.turn(now, |turn| turn.command(check(status)).unwrap());
            }
            let lost = model.sessions.iter().filter(|(_, live)| live.checked);
            let lost: Vec<_> = lost.map(|(id, _)| id.clone()).collect();
            model.end(&lost);
            model.index += 1;
        }
        Action::Pass(seconds) => {
            model.now += seconds;
            model.expire();
            real.turn(model.now, |turn| _ = turn.expire());
        }
        Action::Restart { snapshot } => {
            real.restart(now, *snapshot);
            model.delays.clear();
            for live in model.sessions.values_mut().filter(|live| live.ttl) {
                live.ends = Some(now + 15);
            }
        }
    }
}

fn any_op() -> impl Strategy<Value = Op> {
    let (key, value, session) = (0..KEYS.len(), 0..3_u8, 0..5_usize);
    let right = prop::bool::weighted(0.7);
    prop_oneof![
        4 => (key.clone(), value.clone()).prop_map(|(key, value)| Op::Set(key, value)),
        2 => (key.clone(), value.clone(), right)
            .prop_map(|(key, value, right)| Op::SetAt(key, value, right)),
        2 => (key.clone(), value.clone()).prop_map(|(key, value)| Op::SetNew(key, value)),
        6 => (key.clone(), value.clone(), session.clone())
            .prop_map(|(key, value, session)| Op::Lock(key, value, session)),
        3 => (key.clone(), value, session.clone())
            .prop_map(|(key, value, session)| Op::Unlock(key, value, session)),
        1 => key.clone().prop_map(Op::Get),
        1 => (key.clone(), session).prop_map(|(key, session)| Op::CheckSession(key, session)),
        1 => key.clone().prop_map(Op::CheckNotExists),
        1 => (key.clone(), right).prop_map(|(key, right)| Op::CheckIndex(key, right)),
        2 => key.clone().prop_map(Op::Delete),
        1 => (key, right).prop_map(|(key, right)| Op::DeleteAt(key, right)),
        1 => (0..PREFIXES.len()).prop_map(Op::DeleteTree),
    ]
}

fn any_action() -> impl Strategy<Value = Action> {
    let ops =
        prop::collection::vec(any_op(), 1..4).prop_filter("judged before", |ops| is_plain(ops));
    let flags = any::<[bool; 3]>();
    prop_oneof![
        8 => any_op().prop_map(|op| Action::Keys(vec![op])),
        4 => ops.prop_map(Action::Keys),
        3 => (flags, 0..4_u64).prop_map(|([ttl, delete, checked], delay)| {
            Action::Create { ttl, delete, delay, checked }
        }),
        1 => (0..5_usize).prop_map(Action::Destroy),
        1 => (0..5_usize).prop_map(Action::Renew),
        1 => Just(Action::Critical),
        2 => (1..9_u64).prop_map(Action::Pass),
        1 => any::<bool>().prop_map(|snapshot| Action::Restart { snapshot }),
    ]
}

proptest! {
    #[test]
    fn keys_locks_and_sessions_do_what_the_model_does(
        actions in prop::collection::vec(any_action(), 1..60),
    ) {
        let mut real = Real::new();
        let mut model = Model { index: real.state.index(), ..Model::default() };
        let mut shown = real.shown();
        for action in &actions {
            act(&mut model, &mut real, action);
            prop_assert_eq!(&real.rows(), &model.rows, "{:?}", action);
            prop_assert_eq!(real.state.index(), model.index, "{:?}", action);
            let sessions: Vec<_> = real.state.sessions().iter().map(|s| &*s.id).collect();
            let wanted: Vec<_> = model.sessions.keys().map(String::as_str).collect();
            prop_assert_eq!(sessions, wanted, "{:?}", action);
            // Nobody who waits at the index he was shown misses a change, or is sent back.
            let now = real.shown();
            for ((before, old), (after, new)) in shown.iter().zip(&now) {
                prop_assert!(new >= old && *new > 0, "{:?}: {} after {}", action, new, old);
                prop_assert!(before == after || new > old, "{:?}: {} hides {}", action, new, after);
            }
            shown = now;
        }
    }
}
