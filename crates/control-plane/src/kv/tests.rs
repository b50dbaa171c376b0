//! The store against a model so simple that it is plainly right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::entry::{Entry, Identity};
use super::hub::Hub;
use super::image::Image;
use super::*;

mod copies;
mod images;
mod refusals;

const LIMITS: Limits = Limits { txn_operations: 128, leases: 4, quota_bytes: usize::MAX };
/// The names are few, so that steps meet.
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// Every key at one revision, as a reader sees it: what was put, under which lease, and the three
/// numbers (created, modified, version).
type Keys = BTreeMap<&'static str, (u8, i64, [i64; 3])>;

/// Keeps a copy of everything for each revision.
#[derive(Clone, Debug)]
struct Model {
    revisions: Vec<Keys>,
    compacted: i64,
    /// Id, end in seconds from the start, seconds granted.
    leases: BTreeMap<i64, (u64, u64)>,
}

#[derive(Clone, Debug)]
enum Action {
    Put(usize, u8, i64),
    Delete(usize, usize),
    /// If the key has this value: the first list, else the second.
    Choose {
        key: usize,
        value: u8,
        then: Vec<Edit>,
        otherwise: Vec<Edit>,
    },
    Compact(i64),
    Grant(i64, i64),
    Revoke(i64),
    KeepAlive(i64),
    Pass(u64),
    /// The process ends, and the state is made again from what is on the disk.
    Restart,
    /// The same from a snapshot.
    Snapshot,
}

#[derive(Clone, Debug)]
enum Edit {
    Put(usize, u8),
    Delete(usize, usize),
}

fn any_action() -> impl Strategy<Value = Action> {
    let key = || 0..KEYS.len();
    let step = || {
        prop_oneof![
            (key(), 0..4_u8).prop_map(|(key, value)| Edit::Put(key, value)),
            (key(), key()).prop_map(|(from, to)| Edit::Delete(from, to)),
        ]
    };
    let steps = move || prop::collection::vec(step(), 0..3);
    prop_oneof![
        6 => (key(), 0..4_u8, 0..3_i64).prop_map(|(key, value, lease)| Action::Put(key, value, lease)),
        3 => (key(), key()).prop_map(|(from, to)| Action::Delete(from, to)),
        3 => (key(), 0..4_u8, steps(), steps()).prop_map(|(key, value, then, otherwise)| {
            Action::Choose { key, value, then, otherwise }
        }),
        1 => (0..20_i64).prop_map(Action::Compact),
        1 => (1..3_i64, 1..20_i64).prop_map(|(id, ttl)| Action::Grant(id, ttl)),
        1 => (1..3_i64).prop_map(Action::Revoke),
        1 => (1..3_i64).prop_map(Action::KeepAlive),
        1 => (1..9_u64).prop_map(Action::Pass),
        1 => Just(Action::Restart),
        1 => Just(Action::Snapshot),
    ]
}

impl Model {
    fn new() -> Self {
        // Revision 0 does not exist, 1 is the empty store.
        Self { revisions: vec![Keys::new(), Keys::new()], compacted: -1, leases: BTreeMap::new() }
    }

    fn revision(&self) -> i64 {
        self.revisions.len() as i64 - 1
    }

    fn latest(&self) -> &Keys {
        self.revisions.last().unwrap()
    }

    fn at(&self, revision: i64) -> &Keys {
        &self.revisions[usize::try_from(revision).unwrap()]
    }

    /// Makes a revision if something is to be changed: puts (with a lease) or deletions.
    fn change(&mut self, changes: &[(&'static str, Option<(u8, i64)>)]) {
        let revision = self.revision() + 1;
        let mut keys = self.latest().clone();
        let mut is_changed = false;
        for (key, put) in changes {
            match put {
                Some((value, lease)) => {
                    let old = keys.get(key).map(|(_, _, numbers)| *numbers);
                    let numbers = match old {
                        Some([created, _, version]) => [created, revision, version + 1],
                        None => [revision, revision, 1],
                    };
                    keys.insert(key, (*value, *lease, numbers));
                    is_changed = true;
                }
                None => is_changed |= keys.remove(key).is_some(),
            }
        }
        if is_changed {
            self.revisions.push(keys);
        }
    }

    fn end_lease(&mut self, id: i64) {
        self.leases.remove(&id);
        let held = self.latest().iter().filter(|(_, (_, lease, _))| *lease == id);
        let held: Vec<_> = held.map(|(key, _)| (*key, None)).collect();
        self.change(&held);
    }

    fn steps(&mut self, steps: &[Edit]) -> bool {
        let (mut puts, mut deletes) = (BTreeSet::<usize>::new(), Vec::<(usize, usize)>::new());
        for step in steps {
            match step {
                Edit::Put(key, _) => {
                    let is_deleted = deletes.iter().any(|(from, to)| (*from..*to).contains(key));
                    if is_deleted || !puts.insert(*key) {
                        return false;
                    }
                }
                Edit::Delete(from, to) => {
                    if puts.iter().any(|key| (*from..*to).contains(key)) {
                        return false;
                    }
                    deletes.push((*from, *to));
                }
            }
        }
        true
    }

    fn changes(steps: &[Edit]) -> Vec<(&'static str, Option<(u8, i64)>)> {
        let changes = steps.iter().flat_map(|step| match step {
            Edit::Put(key, value) => vec![(KEYS[*key], Some((*value, 0)))],
            Edit::Delete(from, to) => (*from..*to).map(|key| (KEYS[key], None)).collect(),
        });
        changes.collect()
    }
}

/// The store with what stands around it.
struct Real {
    state: State,
    disk: Vec<Entry>,
    start: Instant,
    seconds: u64,
    /// Of a snapshot that is being made.
    needed: Option<i64>,
}

impl Real {
    #[expect(clippy::disallowed_methods, reason = "a first instant to count from")]
    fn new() -> Self {
        let (state, disk, start) = (State::default(), Vec::new(), Instant::now());
        Self { state, disk, start, seconds: 0, needed: None }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.seconds)
    }

    fn write<T>(
        &mut self,
        change: impl FnOnce(&mut Transition<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let now = self.now();
        let mut entries = Vec::new();
        let mut transition = Transition::new(&mut self.state, &mut entries, LIMITS, now);
        transition.expire();
        let result = change(&mut transition);
        if entries.iter().any(|entry| matches!(entry, Entry::Compacted { .. })) {
            self.state.drop_compacted(self.needed);
        }
        self.disk.extend(entries);
        result
    }

    fn keys(&self, revision: i64) -> Keys {
        let all = KeyRange::new("\0".into(), "\0".into());
        let found = self.state.at(&all, revision).map(|(key, version)| {
            let name = KEYS.into_iter().find(|name| name.as_bytes() == &**key).unwrap();
            let numbers = [version.created, version.revision, version.version];
            (name, (version.value[0], version.lease, numbers))
        });
        found.collect()
    }
}

fn put(key: usize, value: u8, lease: i64) -> Operation {
    let (key, value, lease) = (KEYS[key].into(), Some(Bytes::from(vec![value])), Some(lease));
    Operation::Put(Put { key, value, lease, previous: false })
}

fn delete(from: usize, to: usize) -> Operation {
    // The same key twice is an empty range, not the one key.
    let range = KeyRange::new(KEYS[from].into(), KEYS[to].into());
    Operation::Delete(Delete { range, previous: false })
}

fn operations(steps: &[Edit]) -> Vec<Operation> {
    let operation = |step: &Edit| match step {
        Edit::Put(key, value) => put(*key, *value, 0),
        Edit::Delete(from, to) => delete(*from, *to),
    };
    steps.iter().map(operation).collect()
}

/// Does the same to both; they have to agree on whether it is possible.
fn act(model: &mut Model, real: &mut Real, action: &Action) {
    // Time is passed before anything else, in both.
    while let Some(id) = overdue(model, real.seconds) {
        model.end_lease(id);
    }
    real.write(|_| Ok(())).unwrap();
    match action {
        Action::Put(key, value, lease) => {
            let is_possible = *lease == 0 || model.leases.contains_key(lease);
            if is_possible {
                model.change(&[(KEYS[*key], Some((*value, *lease)))]);
            }
            let done = real.write(|transition| transition.operation(put(*key, *value, *lease)));
            assert_eq!(done.is_ok(), is_possible);
        }
        Action::Delete(from, to) => {
            model.change(&Model::changes(&[Edit::Delete(*from, *to)]));
            real.write(|transition| transition.operation(delete(*from, *to))).unwrap();
        }
        Action::Choose { key, value, then, otherwise } => {
            let holds = model.latest().get(KEYS[*key]).is_some_and(|found| found.0 == *value);
            let is_possible = model.steps(then) && model.steps(otherwise);
            if is_possible {
                model.change(&Model::changes(if holds { then } else { otherwise }));
            }
            let compare = Compare {
                range: KeyRange::only(KEYS[*key].into()),
                target: Target::Value(vec![*value].into()),
                relation: Relation::Equal,
            };
            // Nested once, which must make no difference.
            let inner = Txn {
                compares: vec![compare],
                success: operations(then),
                failure: operations(otherwise),
            };
            let outer = Txn { success: vec![Operation::Txn(inner)], ..Txn::default() };
            let done = real.write(|transition| transition.txn(&outer));
            assert_eq!(done.is_ok(), is_possible);
            if let Ok(reply) = done {
                assert_eq!(reply.revision, model.revision());
            }
        }
        Action::Compact(revision) => {
            let is_possible = *revision > model.compacted && *revision <= model.revision();
            if is_possible {
                model.compacted = *revision;
            }
            let done = real.write(|transition| transition.compact(*revision));
            assert_eq!(done.is_ok(), is_possible);
        }
        Action::Grant(id, ttl) => {
            let granted = real.write(|transition| transition.grant(*id, 99, *ttl));
            assert_eq!(granted.is_ok(), !model.leases.contains_key(id));
            if let Ok((_, ttl)) = granted {
                let ttl = u64::try_from(ttl).unwrap();
                model.leases.insert(*id, (real.seconds + ttl, ttl));
            }
        }
        Action::Revoke(id) => {
            let is_there = model.leases.contains_key(id);
            if is_there {
                model.end_lease(*id);
            }
            assert_eq!(real.write(|transition| transition.revoke(*id)).is_ok(), is_there);
        }
        Action::KeepAlive(id) => {
            let kept = real.write(|transition| transition.keep_alive(*id));
            assert_eq!(kept.is_ok(), model.leases.contains_key(id));
            if let Some((end, ttl)) = model.leases.get_mut(id) {
                *end = real.seconds + *ttl;
            }
        }
        Action::Pass(seconds) => real.seconds += seconds,
        Action::Restart => {
            let mut state = State::default();
            real.disk.iter().for_each(|entry| state.apply(real.now(), entry));
            state.drop_compacted(None);
            restart(model, real, state);
        }
        Action::Snapshot => {
            let mut state = State::default();
            real.disk = image(&real.state);
            real.disk.iter().for_each(|entry| state.apply(real.now(), entry));
            restart(model, real, state);
        }
    }
}

fn image(state: &State) -> Vec<Entry> {
    let mut image = Image::new(state);
    std::iter::from_fn(|| Some(image.part(state)).filter(|part| !part.is_empty()))
        .flatten()
        .collect()
}

/// Everything is as it was, but leases begin their time anew.
fn restart(model: &mut Model, real: &mut Real, state: State) {
    for (end, ttl) in model.leases.values_mut() {
        *end = real.seconds + *ttl;
    }
    assert_eq!(state.applied(), real.state.applied());
    assert_eq!(state.bytes(), real.state.bytes());
    assert_eq!(state.history_bytes(), real.state.history_bytes());
    real.state = state;
}

/// The lease that ended first, if one did.
fn overdue(model: &Model, seconds: u64) -> Option<i64> {
    let over = model.leases.iter().filter(|(_, (end, _))| *end <= seconds);
    over.min_by_key(|(id, (end, _))| (*end, **id)).map(|(id, _)| *id)
}

/// What a watcher of everything sees from a revision on, by the model: for each revision the keys
/// that differ, with their value or none.
fn history(model: &Model, from: i64) -> Vec<(i64, &'static str, Option<u8>)> {
    let mut events = Vec::new();
    for revision in from.max(2)..=model.revision() {
        let (before, after) = (model.at(revision - 1), model.at(revision));
        for key in KEYS {
            if before.get(key) != after.get(key) {
                events.push((revision, key, after.get(key).map(|found| found.0)));
            }
        }
    }
    events
}

fn watched(real: &Real, from: i64) -> Option<Vec<(i64, &'static str, Option<u8>)>> {
    let latest = real.state.revision();
    let all = KeyRange::new("\0".into(), "\0".into());
    let (place, _) = Hub::new(latest).register(all, Some(from), Default::default());
    let mut feed = Feed::new(place, Wanted::default(), from);
    let mut seen = Vec::new();
    loop {
        match feed.step(&real.state, || latest) {
            Step::UpToDate => return Some(seen),
            Step::Compacted { .. } => return None,
            Step::Events { events, .. } => seen.extend(events.into_iter().map(|event| {
                let key = KEYS.into_iter().find(|key| key.as_bytes() == &*event.key).unwrap();
                let value = (!event.version.is_deletion()).then(|| event.version.value[0]);
                (event.version.revision, key, value)
            })),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_revision_reads_and_replays_as_in_the_model(
        actions in prop::collection::vec(any_action(), 1..40),
    ) {
        let (mut model, mut real) = (Model::new(), Real::new());
        for action in &actions {
            act(&mut model, &mut real, action);
            prop_assert_eq!(real.state.revision(), model.revision());
            prop_assert_eq!(real.state.compacted(), model.compacted);
            for revision in model.compacted.max(1)..=model.revision() {
                prop_assert_eq!(&real.keys(revision), model.at(revision), "at {}", revision);
            }
            let around = model.compacted..model.compacted + 2;
            for from in [1].into_iter().chain(around).filter(|from| *from >= 1) {
                let seen = watched(&real, from).map(|mut events| {
                    // Within a revision the store keeps the order of the operations.
                    events.sort_by_key(|event| (event.0, event.1));
                    events
                });
                let expected = (from >= model.compacted).then(|| history(&model, from));
                prop_assert_eq!(seen, expected, "from {}", from);
            }
        }
    }
}

#[test]
fn an_identity_and_alarms_outlive_a_snapshot() {
    let mut real = Real::new();
    let identity = Identity { cluster: 1, member: 2, term: 3 };
    real.state.apply(real.now(), &Entry::Started(identity));
    real.write(|transition| {
        transition.set_alarm(Alarm::NoSpace, 0, true);
        Ok(())
    })
    .unwrap();
    let mut state = State::default();
    image(&real.state).iter().for_each(|entry| state.apply(real.now(), entry));
    assert_eq!((state.identity(), state.alarms()), (identity, real.state.alarms()));
}
