//! Who changed what, when and why: a bounded journal in the center.
//!
//! The center keeps its past for a while only, and knows neither who nor why. An entry is written in
//! the commit that makes the change, so there is none without the other.

use serde::{Deserialize, Serialize};

use super::{CenterError, Commit, ConfigCenter, Layout, Query};
use crate::redact::{HIDDEN, is_secret_name};

/// One change of settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalEntry {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who, such as `ada@laptop`.
    pub by: String,
    /// What for; empty when nobody said.
    pub why: String,
    /// What was done, such as `set` or `rollback to 41`.
    pub action: String,
    /// The service, or `_shared`.
    pub service: String,
    /// The keys.
    pub changes: Vec<JournalChange>,
}

/// One key of a change; values of keys that are named like secrets are `***`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalChange {
    /// The whole key.
    pub key: String,
    /// The value before; none when it was not there.
    pub before: Option<String>,
    /// The value after; none when it is gone.
    pub after: Option<String>,
}

/// Writes and reads the journal.
#[derive(Clone, Debug)]
pub struct Journal {
    layout: Layout,
}

impl JournalChange {
    /// A change, with what is secret hidden.
    pub fn new(key: &str, before: Option<&str>, after: Option<&str>) -> Self {
        let hide = is_secret_name(key.rsplit('/').next().unwrap_or(key));
        let shown = |value: Option<&str>| {
            value.map(|value| if hide { HIDDEN.to_owned() } else { crate::redact_urls(value) })
        };
        Self { key: key.to_owned(), before: shown(before), after: shown(after) }
    }
}

impl Journal {
    /// Most entries; with each one more the oldest is deleted.
    pub const MOST: u64 = 1000;
    /// Most entries that one commit deletes, so that it stays within what a commit may hold.
    const MOST_DELETED: usize = 8;

    /// The journal of a layout.
    pub fn new(layout: Layout) -> Self {
        Self { layout }
    }

    /// Adds an entry to a commit, and the deletion of the oldest when there are too many.
    ///
    /// `unique` tells two entries of one millisecond apart.
    ///
    /// # Errors
    ///
    /// As [`ConfigCenter::list`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is written here.
    pub async fn add(
        &self,
        center: &dyn ConfigCenter,
        commit: Commit,
        entry: &JournalEntry,
        unique: u32,
    ) -> Result<Commit, CenterError> {
        let oldest = Query::prefix(self.layout.journal()).limit(Self::MOST_DELETED);
        let oldest = center.list(&oldest).await?;
        let excess = (oldest.total + 1).saturating_sub(Self::MOST);
        let excess = usize::try_from(excess).unwrap_or(usize::MAX);
        let commit =
            oldest.items.iter().take(excess).fold(commit, |commit, item| commit.delete(&*item.key));
        // Sorted by key is sorted by time.
        let key = format!("{}{:015}-{unique:08x}", self.layout.journal(), entry.at_ms);
        Ok(commit.put(key, serde_json::to_string(entry).unwrap_or_default()))
    }

    /// All entries, the oldest first; what is no entry is left out.
    ///
    /// # Errors
    ///
    /// As [`ConfigCenter::list`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn read(
        &self,
        center: &dyn ConfigCenter,
    ) -> Result<Vec<(u64, JournalEntry)>, CenterError> {
        let items = center.list(&Query::prefix(self.layout.journal())).await?.items;
        let entry = |item: super::Item| {
            let entry = serde_json::from_str(&item.value).ok()?;
            Some((item.revision, entry))
        };
        Ok(items.into_iter().filter_map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::center::MemoryCenter;

    fn entry(at_ms: u64) -> JournalEntry {
        let change = JournalChange::new("/config/a/x", None, Some("1"));
        JournalEntry { at_ms, action: "set".to_owned(), changes: vec![change], ..<_>::default() }
    }

    #[tokio::test]
    async fn an_entry_is_written_with_its_change_and_reads_back() {
        let (center, journal) = (MemoryCenter::new(), Journal::new(Layout::default()));
        let commit = Commit::new().put("/config/a/x", "1");
        let commit = journal.add(&center, commit, &entry(5), 7).await.unwrap();
        let revision = center.commit(commit).await.unwrap().revision;
        assert_eq!(journal.read(&center).await.unwrap(), [(revision, entry(5))]);
        assert_eq!(center.get("/config/a/x").await.unwrap().unwrap().revision, revision);
    }

    #[tokio::test]
    async fn the_oldest_entries_make_room() {
        let (center, journal) = (MemoryCenter::new(), Journal::new(Layout::default()));
        for full in 0..(Journal::MOST / 100) {
            let commit = (0..100).fold(Commit::new(), |commit, i| {
                let key = format!("/config/_journal/{:015}-0", full * 100 + i);
                commit.put(key, serde_json::to_string(&entry(full * 100 + i)).unwrap())
            });
            center.commit(commit).await.unwrap();
        }
        let commit = journal.add(&center, Commit::new(), &entry(9_999), 1).await.unwrap();
        center.commit(commit).await.unwrap();
        let entries = journal.read(&center).await.unwrap();
        assert_eq!(entries.len() as u64, Journal::MOST);
        assert_eq!((entries[0].1.at_ms, entries.last().unwrap().1.at_ms), (1, 9_999));
    }

    #[test]
    fn the_values_of_secrets_are_not_written() {
        let change = JournalChange::new("/config/a/db.password", Some("old"), Some("new"));
        assert_eq!((change.before.as_deref(), change.after.as_deref()), (Some("***"), Some("***")));
        let url = JournalChange::new("/config/a/db.url", None, Some("postgres://a:b@c/d"));
        assert_eq!(url.after.as_deref(), Some("postgres://a:***@c/d"));
    }
}
