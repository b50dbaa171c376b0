//! Writes that happen together or not at all.

use std::collections::BTreeSet;
use std::fmt;

use super::{CenterError, LeaseId};

/// What a key has to be for a write to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    #[default]
    Any,
    /// It does not exist.
    Absent,
    /// Its value is the one of this revision.
    Revision(u64),
}

/// One write of a commit.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a key.
    Put {
        /// The key.
        key: String,
        /// Its value from now on.
        value: String,
        /// The lease that the key ends with.
        lease: Option<LeaseId>,
    },
    /// Deletes a key; one that is not there is no error.
    Delete {
        /// The key.
        key: String,
    },
}

impl Write {
    /// The key.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

impl fmt::Debug for Write {
    /// Names the key; the value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, .. } => write!(f, "put {key}"),
            Self::Delete { key } => write!(f, "delete {key}"),
        }
    }
}

/// Writes that happen at one revision, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it writes nothing until it is given to a center"]
pub struct Commit {
    /// What has to hold.
    pub conditions: Vec<(String, Expected)>,
    /// What is written then.
    pub writes: Vec<Write>,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its revision; the present one when there was nothing to do.
    pub revision: u64,
    /// How many keys it deleted.
    pub deleted: u64,
}

impl Commit {
    /// The most conditions, and the most writes, of one commit: etcd takes 128 operations.
    pub const MOST: usize = 120;

    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The key has to be so.
    pub fn expect(mut self, key: impl Into<String>, expected: Expected) -> Self {
        if expected != Expected::Any {
            self.conditions.push((key.into(), expected));
        }
        self
    }

    /// Sets a key.
    pub fn put(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.writes.push(Write::Put { key: key.into(), value: value.into(), lease: None });
        self
    }

    /// Sets a key that ends with the lease.
    pub fn put_with(
        mut self,
        key: impl Into<String>,
        value: impl Into<String>,
        lease: LeaseId,
    ) -> Self {
        let (key, value) = (key.into(), value.into());
        self.writes.push(Write::Put { key, value, lease: Some(lease) });
        self
    }

    /// Deletes a key.
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.writes.push(Write::Delete { key: key.into() });
        self
    }

    /// Whether a center can take it, whatever it holds.
    ///
    /// # Errors
    ///
    /// [`CenterError::Refused`]: more than [`Commit::MOST`] conditions or writes, a key written
    /// twice, or one that is empty.
    pub fn check(&self) -> Result<(), CenterError> {
        let refused = |message: String| Err(CenterError::Refused { message });
        let most = self.conditions.len().max(self.writes.len());
        if most > Self::MOST {
            return refused(format!("{most} operations at once, at most {}", Self::MOST));
        }
        let mut seen = BTreeSet::new();
        for write in &self.writes {
            if write.key().is_empty() {
                return refused("a key is empty".to_owned());
            }
            if !seen.insert(write.key()) {
                return refused(format!("`{}` is written twice", write.key()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_written_twice_or_empty_is_refused() {
        assert!(Commit::new().put("a", "1").put("b", "1").check().is_ok());
        let twice = Commit::new().put("a", "1").delete("a").check().unwrap_err();
        assert!(twice.to_string().contains("`a` is written twice"), "{twice}");
        assert!(Commit::new().put("", "1").check().is_err());
    }

    #[test]
    fn a_commit_is_bounded() {
        let full = (0..Commit::MOST).fold(Commit::new(), |c, i| c.put(i.to_string(), ""));
        assert!(full.check().is_ok());
        assert!(full.put("one more", "").check().is_err());
    }

    #[test]
    fn no_value_is_shown() {
        let commit = Commit::new().put("password", "hunter2");
        assert!(!format!("{commit:?}").contains("hunter2"));
    }
}
