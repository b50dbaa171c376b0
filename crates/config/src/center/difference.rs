//! What differs between two states of settings, and the commit that undoes it: pure rules.

use std::collections::{BTreeMap, BTreeSet};

use super::{CenterError, Commit, Expected, Item, Snapshot};

/// One setting that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its key.
    pub key: String,
    /// The value on the left, or before; none where it is not there.
    pub before: Option<String>,
    /// The value on the right, or after; none where it is not there.
    pub after: Option<String>,
}

/// Settings by their keys, whole or dotted.
pub type Values = BTreeMap<String, String>;

/// What differs, sorted by key.
pub fn differences(before: &Values, after: &Values) -> Vec<Difference> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = |key: &&&String| before.get(**key) != after.get(**key);
    let difference = |key: &String| Difference {
        key: key.clone(),
        before: before.get(key).cloned(),
        after: after.get(key).cloned(),
    };
    keys.iter().filter(differs).map(|key| difference(key)).collect()
}

/// The commit that makes the present what it was, if nobody changes it meanwhile. `is_meant` says
/// which keys are rolled back.
///
/// # Errors
///
/// [`CenterError::Refused`] when that is more than one commit can hold, with room for the journal.
pub fn roll_back(
    past: &Snapshot,
    present: &Snapshot,
    is_meant: impl Fn(&str) -> bool,
) -> Result<(Commit, Vec<Difference>), CenterError> {
    let values = |snapshot: &Snapshot| -> Values {
        let meant = snapshot.items.iter().filter(|item| is_meant(&item.key));
        meant.map(|item| (item.key.to_string(), item.value.to_string())).collect()
    };
    let changes = differences(&values(present), &values(past));
    let most = Commit::MOST - 10;
    if changes.len() > most {
        let message = format!("{} keys would change at once, at most {most}", changes.len());
        return Err(CenterError::Refused { message });
    }
    let now: BTreeMap<&str, &Item> = present.items.iter().map(|item| (&*item.key, item)).collect();
    let commit = changes.iter().fold(Commit::new(), |commit, change| {
        let expected = match now.get(&*change.key) {
            Some(item) => Expected::Revision(item.revision),
            None => Expected::Absent,
        };
        let commit = commit.expect(&*change.key, expected);
        match &change.after {
            Some(value) => commit.put(&*change.key, value),
            None => commit.delete(&*change.key),
        }
    });
    Ok((commit, changes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::center::{ConfigCenter, MemoryCenter, Query};

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn keys_that_come_go_and_change_differ() {
        let found =
            differences(&values(&[("a", "1"), ("b", "1")]), &values(&[("b", "2"), ("c", "1")]));
        let shown: Vec<_> =
            found.iter().map(|it| (&*it.key, it.before.as_deref(), it.after.as_deref())).collect();
        assert_eq!(
            shown,
            [("a", Some("1"), None), ("b", Some("1"), Some("2")), ("c", None, Some("1"))]
        );
    }

    #[tokio::test]
    async fn a_roll_back_is_one_commit_that_touches_only_what_is_meant() {
        let center = MemoryCenter::new();
        let set =
            async |key: &str, value: &str| center.set(key, value, Expected::Any).await.unwrap();
        set("/a", "1").await;
        let past = set("/b", "1").await;
        set("/a", "2").await;
        center.delete("/b", Expected::Any).await.unwrap();
        set("/c", "1").await;
        set("/other", "1").await;
        let past = center.list(&Query::prefix("/").at(past)).await.unwrap();
        let present = center.list(&Query::prefix("/")).await.unwrap();
        let (commit, changes) = roll_back(&past, &present, |key| key != "/other").unwrap();
        assert_eq!(changes.len(), 3);
        let before = present.revision;
        assert_eq!(center.commit(commit.clone()).await.unwrap().revision, before + 1);
        let now = center.list(&Query::prefix("/")).await.unwrap();
        let now: Vec<_> = now.items.iter().map(|item| (&*item.key, &*item.value)).collect();
        assert_eq!(now, [("/a", "1"), ("/b", "1"), ("/other", "1")]);
        assert!(matches!(center.commit(commit).await, Err(CenterError::Conflict { .. })));
    }

    #[tokio::test]
    async fn what_somebody_has_set_meanwhile_is_not_rolled_back() {
        let center = MemoryCenter::new();
        let past = center.set("/a", "1", Expected::Any).await.unwrap();
        center.set("/a", "2", Expected::Any).await.unwrap();
        let past = center.list(&Query::prefix("/").at(past)).await.unwrap();
        let present = center.list(&Query::prefix("/")).await.unwrap();
        let (commit, _) = roll_back(&past, &present, |_| true).unwrap();
        center.set("/a", "3", Expected::Any).await.unwrap();
        assert!(matches!(center.commit(commit).await, Err(CenterError::Conflict { .. })));
        assert_eq!(&*center.get("/a").await.unwrap().unwrap().value, "3");
    }

    #[test]
    fn more_than_one_commit_holds_is_refused() {
        let items = (0..200).map(|i| Item::new(&format!("/{i}"), "", 1)).collect();
        let many = Snapshot::new(1, items, 200);
        let error = roll_back(&Snapshot::default(), &many, |_| true).unwrap_err().to_string();
        assert!(error.contains("200 keys"), "{error}");
    }

    proptest! {
        #[test]
        fn a_state_does_not_differ_from_itself(
            state in prop::collection::btree_map("[a-e]", "[0-9]", 0..5),
        ) {
            prop_assert_eq!(differences(&state, &state), vec![]);
        }
    }
}
