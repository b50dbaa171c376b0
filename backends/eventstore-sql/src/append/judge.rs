//! Which appends of a group are written, and where; the rule, without a database.

use std::collections::{HashMap, HashSet};

use regatta_eventstore::{AppendError, Appended, Version};

use super::written::{Found, Written};
use crate::engine::unsigned;

/// What the store holds of what a group is about.
#[derive(Default)]
pub(super) struct Held {
    /// The last version of each stream that has one, and when it was recorded.
    pub(super) heads: HashMap<String, (i64, i64)>,
    /// The events that are there already.
    pub(super) found: Vec<Found>,
}

/// What becomes of one append of the group.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is written after this version, as recorded at this time.
    Write { after: i64, recorded_at: i64 },
    /// It is answered, and nothing of it written.
    Answer(Result<Appended, AppendError>),
    /// It shares an id with one that is written now: it is judged again after that.
    Later,
}

/// Judges the appends in their order, each as if those before it were written. The first one is never
/// put off.
pub(super) fn judge<'a>(
    group: impl IntoIterator<Item = &'a Written>,
    held: &mut Held,
    now: i64,
) -> Vec<Verdict> {
    let mut coming: HashSet<&str> = HashSet::new();
    let mut verdict = |append: &'a Written| {
        if append.ids.iter().any(|id| coming.contains(id.as_str())) {
            return Verdict::Later;
        }
        if held.found.iter().any(|found| append.ids.contains(&found.id)) {
            return Verdict::Answer(append.repeated(&held.found));
        }
        let (version, recorded_at) =
            held.heads.get(append.stream.as_str()).copied().unwrap_or_default();
        if !append.expected.holds(Version::new(unsigned(version))) {
            return Verdict::Answer(Err(append.conflict(version)));
        }
        coming.extend(append.ids.iter().map(String::as_str));
        // Time never goes back within a stream, whatever the clock does.
        let recorded_at = now.max(recorded_at);
        let last = version + append.len() as i64;
        held.heads.insert(append.stream.as_str().to_owned(), (last, recorded_at));
        Verdict::Write { after: version, recorded_at }
    };
    group.into_iter().map(&mut verdict).collect()
}

#[cfg(test)]
mod tests {
    use regatta_eventstore::{Append, Expected, NewEvent, StreamId};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn of_two_that_expect_one_version_the_first_is_written_and_the_other_told_of_it() {
        let group = [append("a", exactly(3), &[1, 2]), append("a", exactly(3), &[3])];
        let [Verdict::Write { after: 3, recorded_at: 7 }, Verdict::Answer(Err(refused))] =
            &judged(&group, Held::default_with("a", 3, 5))[..]
        else {
            panic!("the first is written, the second refused")
        };
        let AppendError::Conflict { actual, .. } = refused else { panic!("{refused}") };
        assert_eq!(actual.get(), 5);
    }

    #[test]
    fn each_goes_on_where_the_one_before_it_ended() {
        let group = [append("a", Expected::Any, &[1, 2]), append("a", exactly(2), &[3])];
        let verdicts = judged(&group, Held::default());
        assert!(matches!(verdicts[0], Verdict::Write { after: 0, .. }), "{verdicts:?}");
        assert!(matches!(verdicts[1], Verdict::Write { after: 2, .. }), "{verdicts:?}");
    }

    #[test]
    fn one_that_is_refused_leaves_those_after_it_alone() {
        let group = [append("a", Expected::Exists, &[1]), append("b", exactly(0), &[2])];
        let verdicts = judged(&group, Held::default());
        assert!(matches!(verdicts[0], Verdict::Answer(Err(_))), "{verdicts:?}");
        assert!(matches!(verdicts[1], Verdict::Write { after: 0, .. }), "{verdicts:?}");
    }

    #[test]
    fn the_same_append_twice_in_a_group_is_written_once_and_judged_again() {
        let group = [append("a", Expected::Any, &[1]), append("a", Expected::Any, &[1])];
        let verdicts = judged(&group, Held::default());
        assert!(matches!(verdicts[..], [Verdict::Write { .. }, Verdict::Later]), "{verdicts:?}");
    }

    #[test]
    fn what_is_there_already_is_answered_whatever_is_expected() {
        let id = Uuid::from_u128(1).to_string();
        let found = Found { id, stream: "order-a".into(), version: 4, position: 9 };
        let held = Held { found: vec![found], ..Held::default_with("a", 6, 0) };
        let verdicts = judged(&[append("a", exactly(3), &[1])], held);
        let [Verdict::Answer(Ok(done))] = &verdicts[..] else { panic!("{verdicts:?}") };
        assert_eq!((done.version.get(), done.position.get(), done.repeated), (4, 9, true));
    }

    #[test]
    fn time_does_not_go_back_when_the_clock_does() {
        let group = [append("a", Expected::Any, &[1])];
        let verdicts = judged(&group, Held::default_with("a", 1, 99));
        assert!(matches!(verdicts[..], [Verdict::Write { after: 1, recorded_at: 99 }]));
    }

    impl Held {
        fn default_with(id: &str, version: i64, recorded_at: i64) -> Self {
            let heads = HashMap::from([(format!("order-{id}"), (version, recorded_at))]);
            Self { heads, ..Self::default() }
        }
    }

    fn judged(group: &[Written], mut held: Held) -> Vec<Verdict> {
        judge(group, &mut held, 7)
    }

    fn exactly(version: u64) -> Expected {
        Expected::Exactly(Version::new(version))
    }

    fn append(id: &str, expected: Expected, ids: &[u128]) -> Written {
        let event = |id: &u128| NewEvent::new(Uuid::from_u128(*id), "Placed", json!({}));
        let stream = StreamId::try_new("order", id).unwrap();
        Written::plain(&Append::new(stream, expected, ids.iter().map(event).collect()))
    }
}
