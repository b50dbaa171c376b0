//! From ready to nothing.

use std::time::Duration;

use regatta_supervisor::{Event, PartState, State, leftovers, logs};

use crate::fixture::{PATIENCE, Running, is_alive, part_that, settings};

#[tokio::test]
async fn parts_end_before_what_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let mut order = part_that("order", "serve");
    order.needs = vec!["user".to_owned()];
    let parts = vec![part_that("user", "serve"), order];
    let mut running = Running::start(settings(folder.path(), parts));
    running.until_running().await;
    running.stop.cancel();

    let mut ended = Vec::new();
    running
        .until(|event| {
            match event {
                Event::Part(part) if part.state == PartState::Stopped => ended.push(part.name),
                Event::Stopped => return Some(()),
                _ => {}
            }
            None
        })
        .await;
    assert_eq!(ended, ["order", "user"]);
}

#[tokio::test]
async fn what_a_part_started_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(settings(folder.path(), vec![part_that("a", "with-child")]));
    let state = running.until_running().await;
    let part = state.parts[0].process.unwrap().pid;
    let file = ("a".to_owned(), running.layout.log_file("a"));
    let child = child_of(&file);
    assert!(is_alive(part) && is_alive(child));
    let layout = running.layout.clone();

    running.stopped().await.unwrap();

    assert!(!is_alive(part) && !is_alive(child));
    assert!(leftovers(&layout).is_empty());
    assert_eq!(State::read(&layout.state_file()).unwrap(), None);
}

#[tokio::test]
async fn a_part_that_does_not_end_is_killed_after_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path(), vec![part_that("deaf", "deaf")]);
    settings.stop_within = Duration::from_millis(300);
    let mut running = Running::start(settings);
    let layout = running.layout.clone();
    running.until_running().await;
    running.stop.cancel();
    let warning = running.until(|event| match event {
        Event::Warning { message } => Some(message),
        _ => None,
    });
    assert_eq!(warning.await, "deaf was killed; it did not end in time");
    running.outcome().await.unwrap();
    assert!(leftovers(&layout).is_empty());
}

#[tokio::test]
async fn whoever_is_in_a_hurry_does_not_wait_for_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path(), vec![part_that("deaf", "deaf")]);
    settings.stop_within = PATIENCE * 10;
    let mut running = Running::start(settings);
    let layout = running.layout.clone();
    running.until_running().await;
    running.hurry.cancel();
    running.stopped().await.unwrap();
    assert!(leftovers(&layout).is_empty());
}

/// The pid that a part `with-child` prints.
pub(crate) fn child_of(file: &(String, std::path::PathBuf)) -> u32 {
    let records = logs::last(std::slice::from_ref(file), 100).unwrap();
    let pid = |record: logs::Record| record.line.strip_prefix("child ")?.parse().ok();
    records.into_iter().find_map(pid).expect("the part prints the pid of its child")
}
