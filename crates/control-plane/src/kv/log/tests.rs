//! The files on a real disk: restarts, torn and damaged files, snapshots.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tempfile::TempDir;

use super::folder::Folder;
use super::*;
use crate::kv::entry::{Change, Entry, Identity};
use crate::kv::image::Image;
use crate::kv::range::KeyRange;
use crate::kv::state::State;

const FRESH: Identity = Identity { cluster: 7, member: 8, term: 0 };

#[expect(clippy::disallowed_methods, reason = "leases begin somewhere")]
fn open(folder: &Path) -> Result<Recovered, LogError> {
    Journal::open(folder, Instant::now(), FRESH, 9)
}

#[expect(clippy::disallowed_methods, reason = "leases begin somewhere")]
fn put(recovered: &mut Recovered, value: impl Into<Bytes>) {
    let revision = recovered.state.revision() + 1;
    let changes = vec![Change::Put { key: "k".into(), value: value.into(), lease: 0 }];
    let entry = Entry::Written { revision, changes };
    recovered.journal.append(std::slice::from_ref(&entry)).unwrap();
    recovered.state.apply(Instant::now(), &entry);
}

fn snapshot(of: &mut Recovered) -> SnapshotJob {
    let place = of.journal.begin_snapshot().unwrap();
    let (state, registry) = (of.state.clone(), of.registry.clone());
    let (mut image, revision) = (Image::new(&state), state.revision());
    let parts = Box::new(move || image.part(&state));
    SnapshotJob { place, revision, parts, registry, gives_way: Arc::default() }
}

fn value(state: &State) -> Option<Bytes> {
    let key = KeyRange::only("k".into());
    state.at(&key, state.revision()).next().map(|(_, version)| version.value.clone())
}

fn files(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    files.retain(|name| name != "lock");
    files.sort();
    files
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    put(&mut first, "one");
    put(&mut first, "two");
    drop(first);
    let second = open(folder.path()).unwrap();
    assert_eq!((second.state.revision(), value(&second.state)), (3, Some("two".into())));
    let Identity { cluster, member, term } = second.state.identity();
    assert_eq!((cluster, member, term), (7, 8, 2));
}

#[test]
fn a_torn_write_is_taken_back_and_the_log_goes_on_behind_it() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    put(&mut first, "one");
    put(&mut first, "two");
    drop(first);
    let log = folder.path().join(&files(folder.path())[0]);
    let bytes = std::fs::read(&log).unwrap();
    std::fs::write(&log, &bytes[..bytes.len() - 5]).unwrap();
    let mut second = open(folder.path()).unwrap();
    assert_eq!(value(&second.state), Some("one".into()));
    assert!(second.torn_bytes > 0);
    put(&mut second, "three");
    drop(second);
    assert_eq!(value(&open(folder.path()).unwrap().state), Some("three".into()));
}

#[test]
fn damage_before_the_end_is_an_error_with_its_place() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    put(&mut first, "one");
    put(&mut first, "two");
    drop(first);
    let log = folder.path().join(&files(folder.path())[0]);
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[50] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    // Behind the file's head.
    assert!(matches!(open(folder.path()), Err(LogError::Damaged { offset: 20, .. })));
}

#[test]
fn a_value_that_holds_a_log_does_not_make_a_torn_write_a_damaged_one() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    put(&mut first, "one");
    let log = folder.path().join(&files(folder.path())[0]);
    let copy = std::fs::read(&log).unwrap();
    put(&mut first, copy);
    drop(first);
    let bytes = std::fs::read(&log).unwrap();
    std::fs::write(&log, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(value(&open(folder.path()).unwrap().state), Some("one".into()));
}

#[test]
fn a_group_too_large_for_a_frame_is_in_several_and_a_failure_takes_all_back() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    first.journal.most_frame_bytes = 100;
    let group: Vec<_> = (2..12)
        .map(|revision| Entry::Written {
            revision,
            changes: vec![Change::Put { key: "k".into(), value: "v".repeat(60).into(), lease: 0 }],
        })
        .collect();
    let before = first.journal.size().bytes;
    first.journal.append(&group).unwrap();
    let log = folder.path().join(&files(folder.path())[0]);
    let bytes = std::fs::read(&log).unwrap();
    drop(first);
    assert_eq!(open(folder.path()).unwrap().state.revision(), 11);
    // Cut in its last frame, the group's first ones are whole: none of it was acknowledged.
    std::fs::write(&log, &bytes[..bytes.len() - 1]).unwrap();
    let state = open(folder.path()).unwrap().state;
    assert_eq!(state.revision(), 9, "a frame held two entries, and {before} bytes were before");
}

#[test]
fn a_log_whose_beginning_was_cut_is_begun_again() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    put(&mut first, "one");
    drop(first);
    let numbers = ["0000000000000001.log", "0000000000000002.log"];
    for cut in [0, 7, 20] {
        std::fs::write(folder.path().join(numbers[1]), vec![0; cut]).unwrap();
        let mut again = open(folder.path()).unwrap();
        assert_eq!(value(&again.state), Some("one".into()), "cut after {cut} bytes");
        put(&mut again, "one");
        drop(again);
    }
    let mut again = open(folder.path()).unwrap();
    again.journal.begin_snapshot().unwrap();
    put(&mut again, "two");
    drop(again);
    assert_eq!(value(&open(folder.path()).unwrap().state), Some("two".into()));
    assert_eq!(files(folder.path()), numbers);
}

#[test]
fn a_file_of_the_first_format_is_refused_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("0000000000000001.log");
    std::fs::write(&log, b"RGkv\x19\0\0\0and a body of twenty-five").unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, LogError::Format { .. }), "{error}");
}

#[test]
fn a_snapshot_replaces_the_logs_before_it() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    put(&mut first, "one");
    let job = snapshot(&mut first);
    // The log goes on while the snapshot is written.
    put(&mut first, "two");
    let written = job.run().unwrap();
    first.journal.end_snapshot(written.bytes);
    let numbers = ["0000000000000002.log", "0000000000000002.snapshot"];
    assert_eq!(files(folder.path()), numbers);
    let before = first.state.clone();
    drop(first);
    let second = open(folder.path()).unwrap();
    assert_eq!(value(&second.state), Some("two".into()));
    assert_eq!(second.state.applied(), before.applied() + 1);
}

#[test]
fn a_crash_between_the_new_log_and_its_snapshot_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    put(&mut first, "one");
    let _never_run = first.journal.begin_snapshot().unwrap();
    put(&mut first, "two");
    drop(first);
    std::fs::write(folder.path().join("0000000000000002.part"), "half").unwrap();
    let second = open(folder.path()).unwrap();
    assert_eq!(value(&second.state), Some("two".into()));
    assert_eq!(files(folder.path()), ["0000000000000001.log", "0000000000000002.log"]);
}

#[test]
fn a_missing_log_is_an_error_with_its_name() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    let _never_run = first.journal.begin_snapshot().unwrap();
    drop(first);
    std::fs::remove_file(folder.path().join("0000000000000001.log")).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, LogError::Missing { .. }), "{error}");
}

#[test]
fn one_process_at_a_time() {
    let folder = TempDir::new().unwrap();
    let _first = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(LogError::InUse { .. })));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "leases begin somewhere")]
fn what_a_failed_write_left_in_the_file_is_taken_back() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    put(&mut first, "one");
    let log = folder.path().join(&files(folder.path())[0]);
    // What a write leaves that failed in the middle.
    let mut bytes = std::fs::read(&log).unwrap();
    bytes.extend(b"RGkvhalf");
    std::fs::write(&log, bytes).unwrap();
    let state = first.journal.reload(Instant::now()).unwrap();
    assert_eq!((value(&state), state.identity().term), (Some("one".into()), 1));
    first.journal.heal().unwrap();
    put(&mut first, "two");
    drop(first);
    assert_eq!(value(&open(folder.path()).unwrap().state), Some("two".into()));
}

#[test]
fn a_snapshot_that_fails_leaves_no_file_and_takes_nothing_away() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    put(&mut first, "one");
    let job = snapshot(&mut first);
    // A log that has no room makes the snapshot end.
    job.gives_way.store(true, std::sync::atomic::Ordering::Relaxed);
    job.run().unwrap_err();
    let logs = ["0000000000000001.log", "0000000000000002.log"];
    assert_eq!(files(folder.path()), logs);
    let full = |_: &mut dyn std::io::Write| Err(std::io::ErrorKind::StorageFull.into());
    let place = Folder::open(folder.path()).unwrap();
    place.write_snapshot(2, full).unwrap_err();
    assert_eq!(files(folder.path()), logs);
    drop(first);
    assert_eq!(value(&open(folder.path()).unwrap().state), Some("one".into()));
}

#[test]
fn a_log_that_cannot_be_begun_leaves_the_one_before_it_in_use() {
    let folder = TempDir::new().unwrap();
    let mut first = open(folder.path()).unwrap();
    let in_the_way = folder.path().join("0000000000000002.log");
    std::fs::create_dir(&in_the_way).unwrap();
    first.journal.begin_snapshot().unwrap_err();
    std::fs::remove_dir(&in_the_way).unwrap();
    put(&mut first, "one");
    drop(first);
    assert_eq!(value(&open(folder.path()).unwrap().state), Some("one".into()));
}
