//! A release under way, and who else writes one of its settings.

use std::collections::BTreeMap;

use regatta_config::center::{
    CenterError, Commit, Expected, Item, Journal, JournalEntry, Layout, Place as Lies,
};
use regatta_config::release::{Release, Rollout};

use super::access::{Center, shown};
use crate::failure::Failure;

/// The commit for a service's settings, if no release under way changes one of them, and none has
/// begun meanwhile; as it is when forced.
pub(super) async fn beside(
    center: &Center,
    service: &str,
    commit: Commit,
    is_forced: bool,
) -> Result<Commit, Failure> {
    if is_forced {
        return Ok(commit);
    }
    let at = center.layout.rollout(service);
    let seen = center.port.get(&at).await?;
    if let Some(rollout) = seen.as_ref().and_then(|item| Rollout::parse(&item.value))
        && let Some(key) = shared_key(&center.layout, service, &rollout, &commit)
    {
        let id = &rollout.release;
        return Err(Failure::new(format!(
            "`{key}` of {service} is being changed by the release {id}; wait until that is done, take \
             it back with `regatta config release rollback {id}`, or add --force: the release goes no \
             further then"
        )));
    }
    Ok(commit.expect(at, seen.map_or(Expected::Absent, |item| Expected::Revision(item.revision))))
}

/// The settings that a release changes, as they are, by their dotted keys. Each is read alone: they
/// are few, and the service may have thousands.
pub(super) async fn present(
    center: &Center,
    release: &Release,
) -> Result<BTreeMap<String, Item>, CenterError> {
    let mut present = BTreeMap::new();
    for key in release.changes.keys() {
        let whole = center.layout.setting(&release.service, None, key);
        if let Some(item) = center.port.get(&whole).await? {
            present.insert(key.clone(), item);
        }
    }
    Ok(present)
}

/// Why a release goes no further; none where nobody has written one of its settings since it began.
pub(super) async fn overtaken(
    center: &Center,
    release: &Release,
) -> Result<Option<String>, CenterError> {
    let present = present(center, release).await?;
    let Some(key) = release.overtaken(&present) else { return Ok(None) };
    let whole = center.layout.setting(&release.service, None, key);
    let journal = Journal::new(center.layout.clone()).read(&*center.port).await?;
    let said = written(key, &whole, present.get(key), &journal);
    Ok(Some(format!("{said}, and only `continue --force` writes over that")))
}

/// The first setting that a commit writes and a release changes.
fn shared_key(
    layout: &Layout,
    service: &str,
    rollout: &Rollout,
    commit: &Commit,
) -> Option<String> {
    let changed = |key: &str| match layout.place(service, key)? {
        Lies::Setting { key } if rollout.changes.contains_key(key) => Some(key.to_owned()),
        _ => None,
    };
    commit.writes.iter().find_map(|write| changed(write.key()))
}

/// What was written, and by whom if the journal knows.
fn written(
    key: &str,
    whole: &str,
    present: Option<&Item>,
    journal: &[(u64, JournalEntry)],
) -> String {
    let wrote = |(revision, entry): &&(u64, JournalEntry)| {
        let mut changes = entry.changes.iter().filter(|change| change.key == whole);
        match present {
            Some(item) => item.revision == *revision && changes.next().is_some(),
            None => changes.any(|change| change.after.is_none()),
        }
    };
    let entry = journal.iter().rfind(wrote);
    let what = match present {
        Some(item) => format!("set to {}", shown(whole, &item.value, false)),
        None => "deleted".to_owned(),
    };
    let revision = present.map(|item| item.revision).or(entry.map(|(revision, _)| *revision));
    let at = revision.map(|revision| format!(" at revision {revision}")).unwrap_or_default();
    let by = entry.map(|(_, entry)| format!(" by {}", entry.by)).unwrap_or_default();
    format!("`{key}` was {what}{at}{by}")
}

#[cfg(test)]
mod tests {
    use regatta_config::center::JournalChange;

    use super::*;

    const TRIES: &str = "/config/pay/client.tries";

    #[test]
    fn a_commit_meets_a_release_in_a_setting_of_the_service() {
        let changes = [("client.tries".to_owned(), Some("4".to_owned()))].into();
        let rollout = Rollout { release: "r1".to_owned(), changes, instances: None };
        let meets = |key: &str| {
            let commit = Commit::new().put("/config/pay/other", "1").delete(key);
            shared_key(&Layout::default(), "pay", &rollout, &commit)
        };
        assert_eq!(meets(TRIES).as_deref(), Some("client.tries"));
        assert_eq!(meets("/config/pay/client.timeout"), None);
        let own = "/config/pay/_instances/pay-1/client.tries";
        assert_eq!(meets(own), None, "that of an instance lies above the release");
    }

    #[test]
    fn who_wrote_a_setting_is_told_where_it_is_known() {
        let entry = |by: &str, after: Option<&str>| JournalEntry {
            by: by.to_owned(),
            changes: vec![JournalChange::new(TRIES, Some("3"), after)],
            ..JournalEntry::default()
        };
        let journal = [(5, entry("ada", Some("7"))), (8, entry("bob", None))];
        let told = |revision: Option<u64>| {
            let item = revision.map(|revision| Item::new(TRIES, "7", revision));
            written("client.tries", TRIES, item.as_ref(), &journal)
        };
        assert_eq!(told(Some(5)), "`client.tries` was set to 7 at revision 5 by ada");
        assert_eq!(told(Some(6)), "`client.tries` was set to 7 at revision 6");
        assert_eq!(told(None), "`client.tries` was deleted at revision 8 by bob");
        let secret = Item::new("/config/pay/db.password", "x", 9);
        let said = written("db.password", &secret.key, Some(&secret), &[]);
        assert_eq!(said, "`db.password` was set to *** at revision 9");
    }
}
