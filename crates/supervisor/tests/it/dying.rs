//! Parts that die, or stop answering, while the system runs.

use regatta_supervisor::{PartState, logs};

use crate::fixture::{Running, get, part_that, settings};

#[tokio::test]
async fn a_part_that_dies_is_started_again_and_the_state_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(settings(folder.path(), vec![part_that("a", "serve")]));
    let before = running.until_running().await.parts.remove(0);

    get(&before.url, "/die").await;

    let down = running.until_part("a", PartState::Restarting).await;
    let note = down.note.unwrap();
    assert!(note.contains("exit status: 7") && note.contains("starts again in"), "{note}");
    let after = running.until_part("a", PartState::Ready).await;
    assert_eq!((after.restarts, &after.url, after.note), (1, &before.url, None));
    assert_ne!(after.process, before.process);
    assert_eq!(get(&after.url, "/").await, 200);
    let file = ("a".to_owned(), running.layout.log_file("a"));
    running.stopped().await.unwrap();
    let lines: Vec<_> = logs::last(&[file], 100).unwrap().into_iter().map(|r| r.line).collect();
    let count = lines.iter().filter(|line| line.starts_with("listening")).count();
    assert_eq!(count, 2, "both lives are in the log: {lines:?}");
}

#[tokio::test]
async fn a_part_that_keeps_dying_is_a_crash_loop_and_stays_stoppable() {
    let folder = tempfile::tempdir().unwrap();
    let mut part = part_that("a", "serve-once");
    let mark = folder.path().join("served").display().to_string();
    part.environment.insert("FIXTURE_MARK".to_owned(), mark);
    let mut running = Running::start(settings(folder.path(), vec![part]));
    let state = running.until_running().await;

    get(&state.parts[0].url, "/die").await;

    let looping = running.until_part("a", PartState::CrashLoop).await;
    assert_eq!(looping.restarts, 2);
    assert!(looping.note.unwrap().contains("exit status: 4"));
    running.stopped().await.unwrap();
}

#[tokio::test]
async fn a_part_that_runs_but_is_not_ready_is_shown_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(settings(folder.path(), vec![part_that("a", "serve")]));
    let state = running.until_running().await;

    get(&state.parts[0].url, "/sick").await;

    let sick = running.until_part("a", PartState::NotReady).await;
    assert_eq!(sick.note.as_deref(), Some("it answers 503"));
    assert_eq!(sick.process, state.parts[0].process);
    running.stopped().await.unwrap();
}
