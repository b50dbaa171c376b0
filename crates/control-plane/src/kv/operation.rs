//! What can be asked in one transaction, and the checks that need no state.

use bytes::Bytes;

use super::error::Rejection;
use super::query::{Answer, Found, Query};
use super::range::KeyRange;

/// A change of one key.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    pub(crate) key: Bytes,
    /// None keeps the value; the key has to exist then.
    pub(crate) value: Option<Bytes>,
    /// None keeps the lease; the key has to exist then. 0 is no lease.
    pub(crate) lease: Option<i64>,
    /// Whether the answer shows what was there before.
    pub(crate) previous: bool,
}

/// The end of some keys.
#[derive(Clone, Debug)]
pub(crate) struct Delete {
    pub(crate) range: KeyRange,
    /// Whether the answer shows what was there before.
    pub(crate) previous: bool,
}

/// One step of a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Range(Query),
    Put(Put),
    Delete(Delete),
    Txn(Txn),
}

/// One of two lists of operations, by what is there before any of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Txn {
    pub(crate) compares: Vec<Compare>,
    pub(crate) success: Vec<Operation>,
    pub(crate) failure: Vec<Operation>,
}

/// What has to hold for every key of a range.
#[derive(Clone, Debug)]
pub(crate) struct Compare {
    pub(crate) range: KeyRange,
    pub(crate) target: Target,
    pub(crate) relation: Relation,
}

/// What of a key is compared, and with what. A key that is absent has 0 in every number and fails
/// every comparison of its value.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Version(i64),
    Created(i64),
    Modified(i64),
    Lease(i64),
    Value(Bytes),
}

/// How the key's side has to stand to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Greater,
    Less,
}

/// What a transaction answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TxnReply {
    /// The revision after it.
    pub(crate) revision: i64,
    pub(crate) succeeded: bool,
    pub(crate) replies: Vec<Reply>,
}

/// What one step answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Range { revision: i64, answer: Answer },
    Put { revision: i64, previous: Option<Found> },
    Delete { revision: i64, deleted: usize, previous: Vec<Found> },
    Txn(TxnReply),
}

impl Relation {
    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Greater => order.is_gt(),
            Self::Less => order.is_lt(),
        }
    }
}

impl Compare {
    /// Whether it holds for a key; none when the key does not exist.
    pub(crate) fn holds(&self, found: Option<&super::history::Version>) -> bool {
        let number = |of: fn(&super::history::Version) -> i64, wanted: &i64| {
            self.relation.holds(found.map_or(0, of).cmp(wanted))
        };
        match &self.target {
            Target::Version(wanted) => number(|found| found.version, wanted),
            Target::Created(wanted) => number(|found| found.created, wanted),
            Target::Modified(wanted) => number(|found| found.revision, wanted),
            Target::Lease(wanted) => number(|found| found.lease, wanted),
            Target::Value(wanted) => {
                found.is_some_and(|found| self.relation.holds(found.value.cmp(wanted)))
            }
        }
    }
}

impl Txn {
    /// Checks what can be seen without the state: the size of each list (nested ones count with
    /// those around them), and that no key is changed twice.
    pub(crate) fn check(&self, most: usize) -> Result<(), Rejection> {
        self.check_size(most)?;
        Touched::by(&self.success)?;
        Touched::by(&self.failure)?;
        Ok(())
    }

    fn check_size(&self, most: usize) -> Result<(), Rejection> {
        let size = self.compares.len().max(self.success.len()).max(self.failure.len());
        let left = most.checked_sub(size).ok_or(Rejection::TooManyOperations)?;
        let nested = self.success.iter().chain(&self.failure);
        nested.into_iter().try_for_each(|operation| match operation {
            Operation::Txn(txn) => txn.check_size(left),
            _ => Ok(()),
        })
    }
}

/// The keys that a list of operations changes. Two puts of one key, or a put and a deletion, have
/// no order that a client could rely on; deletions may overlap.
#[derive(Default)]
struct Touched<'a> {
    puts: std::collections::HashSet<&'a Bytes>,
    deletes: Vec<&'a KeyRange>,
}

impl<'a> Touched<'a> {
    /// Checks in etcd's order: the list's own deletions, what is nested in it one after the other,
    /// its own puts. So one nested transaction may put a key that a later one deletes, and nothing
    /// else may be both.
    fn by(operations: &'a [Operation]) -> Result<Self, Rejection> {
        let mut touched = Self::default();
        touched.deletes.extend(operations.iter().filter_map(|operation| match operation {
            Operation::Delete(delete) => Some(&delete.range),
            _ => None,
        }));
        for operation in operations {
            if let Operation::Txn(txn) = operation {
                touched.nested(txn)?;
            }
        }
        for operation in operations {
            if let Operation::Put(put) = operation {
                touched.check(&put.key)?;
                touched.puts.insert(&put.key);
            }
        }
        Ok(touched)
    }

    /// Only one of the two lists is done, so they may touch the same keys.
    fn nested(&mut self, txn: &'a Txn) -> Result<(), Rejection> {
        let (then, otherwise) = (Self::by(&txn.success)?, Self::by(&txn.failure)?);
        then.puts.iter().chain(&otherwise.puts).try_for_each(|key| self.check(key))?;
        for list in [then, otherwise] {
            self.puts.extend(list.puts);
            self.deletes.extend(list.deletes);
        }
        Ok(())
    }

    /// A key that is to be put.
    fn check(&self, key: &Bytes) -> Result<(), Rejection> {
        let is_deleted = || self.deletes.iter().any(|range| range.contains(key));
        match self.puts.contains(key) || is_deleted() {
            true => Err(Rejection::DuplicateKey),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &'static str) -> Operation {
        let (value, lease) = (Some(Bytes::new()), Some(0));
        Operation::Put(Put { key: key.into(), value, lease, previous: false })
    }

    fn delete(key: &'static str, end: &'static str) -> Operation {
        let range = KeyRange::new(key.into(), end.into());
        Operation::Delete(Delete { range, previous: false })
    }

    fn txn(success: Vec<Operation>, failure: Vec<Operation>) -> Txn {
        Txn { compares: Vec::new(), success, failure }
    }

    fn nested(success: Vec<Operation>, failure: Vec<Operation>) -> Operation {
        Operation::Txn(txn(success, failure))
    }

    fn verdict(operations: Vec<Operation>) -> Result<(), Rejection> {
        txn(operations, Vec::new()).check(128)
    }

    #[test]
    fn a_key_is_changed_once() {
        let twice = Err(Rejection::DuplicateKey);
        assert_eq!(verdict(vec![put("a"), put("b")]), Ok(()));
        assert_eq!(verdict(vec![put("a"), put("a")]), twice);
        assert_eq!(verdict(vec![put("b"), delete("a", "c")]), twice);
        assert_eq!(verdict(vec![delete("a", "c"), put("b")]), twice);
        assert_eq!(verdict(vec![delete("a", "b"), put("b")]), Ok(()));
        assert_eq!(verdict(vec![delete("a", "c"), delete("b", "")]), Ok(()));
    }

    #[test]
    fn a_nested_list_counts_unless_it_is_the_other_one() {
        let twice = Err(Rejection::DuplicateKey);
        assert_eq!(verdict(vec![put("a"), nested(vec![put("a")], vec![])]), twice);
        assert_eq!(verdict(vec![nested(vec![put("a")], vec![]), put("a")]), twice);
        assert_eq!(verdict(vec![nested(vec![put("a")], vec![put("a")])]), Ok(()));
        assert_eq!(verdict(vec![nested(vec![put("a")], vec![delete("a", "")])]), Ok(()));
        assert_eq!(verdict(vec![nested(vec![put("a")], vec![]), delete("a", "")]), twice);
        let puts = || nested(vec![], vec![put("a")]);
        assert_eq!(verdict(vec![puts(), puts()]), twice);
    }

    #[test]
    fn what_one_nested_list_puts_a_later_one_may_delete_and_not_the_other_way_round() {
        let puts = || nested(vec![put("a")], vec![]);
        let deletes = || nested(vec![], vec![delete("a", "")]);
        assert_eq!(verdict(vec![puts(), deletes()]), Ok(()));
        assert_eq!(verdict(vec![deletes(), puts()]), Err(Rejection::DuplicateKey));
        assert_eq!(verdict(vec![puts(), deletes(), puts()]), Err(Rejection::DuplicateKey));
    }

    #[test]
    fn lists_around_a_nested_one_leave_it_less_room() {
        let two = || vec![delete("a", ""), delete("b", "")];
        assert_eq!(txn(two(), vec![]).check(2), Ok(()));
        assert_eq!(txn(two(), vec![]).check(1), Err(Rejection::TooManyOperations));
        assert_eq!(txn(vec![nested(two(), vec![])], vec![]).check(3), Ok(()));
        let deep = txn(vec![nested(two(), vec![])], vec![]);
        assert_eq!(deep.check(2), Err(Rejection::TooManyOperations));
    }

    #[test]
    fn an_absent_key_is_zero_and_has_no_value() {
        let range = || KeyRange::only("a".into());
        let holds = |target, relation| Compare { range: range(), target, relation }.holds(None);
        assert!(holds(Target::Created(0), Relation::Equal));
        assert!(holds(Target::Version(1), Relation::Less));
        assert!(!holds(Target::Modified(0), Relation::Greater));
        assert!(!holds(Target::Value(Bytes::new()), Relation::Equal));
        assert!(!holds(Target::Value("b".into()), Relation::NotEqual));
    }
}
