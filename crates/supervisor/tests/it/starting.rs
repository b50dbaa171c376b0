//! From nothing to ready.

use std::time::Duration;

use regatta_supervisor::{Error, PartState, Run, State};

use crate::fixture::{Running, get, is_alive, part_that, settings};

#[tokio::test]
async fn parts_start_after_what_they_need_and_the_state_file_tells_where() {
    let folder = tempfile::tempdir().unwrap();
    let mut order = part_that("order", "serve");
    order.needs = vec!["user".to_owned()];
    let settings = settings(folder.path(), vec![order, part_that("user", "serve")]);
    let mut running = Running::start(settings);

    running.until_part("user", PartState::Ready).await;
    running.until_part("order", PartState::Starting).await;
    let state = running.until_running().await;

    assert_eq!(State::read(&running.layout.state_file()).unwrap().unwrap(), state);
    for part in &state.parts {
        assert_eq!(part.state, PartState::Ready);
        assert_eq!(get(&part.url, "/").await, 200);
    }
    running.stopped().await.unwrap();
}

#[tokio::test]
async fn a_part_that_ends_early_stops_the_start_and_shows_its_last_lines() {
    let folder = tempfile::tempdir().unwrap();
    let parts = vec![part_that("good", "serve"), part_that("bad", "fail")];
    let running = Running::start(settings(folder.path(), parts));
    let layout = running.layout.clone();

    let error = running.outcome().await.unwrap_err();

    assert!(matches!(&error, Error::EndedEarly { part, .. } if part == "bad"), "{error}");
    assert!(error.to_string().contains("exit status: 3"), "{error}");
    assert!(error.detail().contains(&"the cause of the trouble".to_owned()), "{error:?}");
    assert_eq!(State::read(&layout.state_file()).unwrap(), None);
    assert!(regatta_supervisor::leftovers(&layout).is_empty());
}

#[tokio::test]
async fn a_part_that_never_gets_ready_stops_the_start_with_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path(), vec![part_that("slow", "never-ready")]);
    settings.ready_within = Duration::from_millis(1500);
    let running = Running::start(settings);
    let layout = running.layout.clone();

    let error = running.outcome().await.unwrap_err();

    assert!(matches!(error, Error::NotReady { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("slow was not ready within 1.5 s: it answers 503"), "{text}");
    assert!(text.contains("--ready-within"), "{text}");
    assert!(regatta_supervisor::leftovers(&layout).is_empty());
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut part = part_that("lost", "serve");
    part.run = Run::Command { program: "/no/such/program".to_owned(), arguments: Vec::new() };
    let error = Running::start(settings(folder.path(), vec![part])).outcome().await.unwrap_err();
    assert!(error.to_string().contains("`/no/such/program` of lost did not start"), "{error}");
}

#[tokio::test]
async fn a_second_supervisor_is_told_who_is_first() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), vec![part_that("a", "serve")]);
    let mut running = Running::start(settings.clone());
    running.until_running().await;

    let error = regatta_supervisor::Supervisor::try_new(settings).unwrap_err().to_string();

    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    assert!(error.contains("regatta down"), "{error}");
    running.stopped().await.unwrap();
}

#[tokio::test]
async fn a_stop_during_the_start_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(settings(folder.path(), vec![part_that("a", "never-ready")]));
    let part = running.until(|event| match event {
        regatta_supervisor::Event::Part(part) => part.process,
        _ => None,
    });
    let process = part.await;
    let error = running.stopped().await.unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    assert!(!is_alive(process.pid));
}
