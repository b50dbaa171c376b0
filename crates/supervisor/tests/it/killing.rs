//! The supervisor itself is killed.

use std::process::{Child, Command};
use std::time::Duration;

use regatta_supervisor::{Layout, PartState, State, clean, down, leftovers, running};

use crate::fixture::{is_alive, until};
use crate::stopping::child_of;

#[tokio::test]
async fn its_parts_die_with_it_and_down_ends_what_they_had_started() {
    let folder = tempfile::tempdir().unwrap();
    let (mut supervisor, layout, state) = supervised(folder.path()).await;
    let child = child_of(&("b".to_owned(), layout.log_file("b")));

    supervisor.kill().unwrap();
    supervisor.wait().unwrap();

    for part in &state.parts {
        let pid = part.process.unwrap().pid;
        until("the kernel ends the part", || !is_alive(pid)).await;
    }
    assert_eq!(running(&layout).unwrap(), None);
    let left: Vec<u32> = leftovers(&layout).iter().map(|process| process.pid).collect();
    assert_eq!(left, [child]);
    let stopped = down(&layout, Duration::from_secs(10)).await.unwrap();
    assert_eq!((stopped.supervisor, stopped.leftovers), (None, 1));
    until("the child ends", || !is_alive(child)).await;
    assert_eq!(State::read(&layout.state_file()).unwrap(), None);
}

#[tokio::test]
async fn a_process_that_got_the_pid_of_a_part_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (mut supervisor, layout, mut state) = supervised(folder.path()).await;
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    // The state now names this very test process, as if it had got the pid after the part.
    let mut reused = regatta_supervisor::Identity::own();
    reused.start_ticks -= 1;
    state.parts[0].process = Some(reused);
    state.write(&layout.state_file()).unwrap();
    clean(&layout).await;
    assert!(leftovers(&layout).is_empty());
}

#[tokio::test]
async fn down_stops_a_supervisor_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let (mut supervisor, layout, state) = supervised(folder.path()).await;
    // The fixture has no handler, so the signal ends it at once; the lock is what `down` waits for.
    let reaper = std::thread::spawn(move || supervisor.wait().unwrap());
    let stopped = down(&layout, Duration::from_secs(30)).await.unwrap();
    reaper.join().unwrap();
    assert_eq!(stopped.supervisor, Some(state.supervisor.pid));
    for part in &state.parts {
        let pid = part.process.unwrap().pid;
        until("the part ends", || !is_alive(pid)).await;
    }
    assert!(leftovers(&layout).is_empty());
}

#[tokio::test]
async fn down_where_nothing_runs_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::beside(&folder.path().join("regatta.yaml"));
    let stopped = down(&layout, Duration::from_secs(1)).await.unwrap();
    assert_eq!((stopped.supervisor, stopped.leftovers), (None, 0));
}

/// A supervisor in a process of its own, with all parts ready.
async fn supervised(folder: &std::path::Path) -> (Child, Layout, State) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "fixture::part", "--nocapture"]);
    command.env("FIXTURE_ROLE", "supervise").env("FIXTURE_FOLDER", folder);
    let supervisor = command.spawn().unwrap();
    let layout = Layout::beside(&folder.join("regatta.yaml"));
    let state = || State::read(&layout.state_file()).ok().flatten();
    let ready = |state: State| state.parts.iter().all(|part| part.state == PartState::Ready);
    until("all parts are ready", || state().is_some_and(ready)).await;
    let state = state().unwrap();
    (supervisor, layout, state)
}
