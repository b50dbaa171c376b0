//! Children end with their owners.

use std::process::Command;
use std::time::Duration;

use regatta_testkit::{Process, wait_until_blocking};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn its_output_is_captured_and_its_end_awaited() {
    let mut process = Process::spawn(shell("echo out; echo err >&2; exit 3")).unwrap();
    assert_eq!(process.wait(LIMIT).unwrap().code(), Some(3));
    wait_until_blocking("both lines", LIMIT, || process.output().lines().count() == 2);
}

#[test]
fn a_drop_ends_it_and_its_children() {
    let process = Process::spawn(shell("sleep 1000 & echo $!; wait")).unwrap();
    wait_until_blocking("the child's id", LIMIT, || process.output().ends_with('\n'));
    let (parent, child) = (process.id(), process.output().trim().parse().unwrap());
    assert!(is_alive(parent) && is_alive(child));
    drop(process);
    wait_until_blocking("both to be gone", LIMIT, || !is_alive(parent) && !is_alive(child));
}

#[test]
fn it_outlives_the_thread_that_asked_for_it() {
    let asking = std::thread::spawn(|| Process::spawn(shell("sleep 1000")).unwrap());
    let mut process = asking.join().unwrap();
    assert!(process.wait(Duration::from_millis(100)).is_none());
    process.kill();
    assert!(!process.is_running());
}

#[test]
fn a_killed_owner_takes_it_along() {
    // This test binary again, running only the test below, which waits to be killed.
    let mut owner = Command::new(std::env::current_exe().unwrap());
    owner.args(["--exact", "process::waits_to_be_killed", "--nocapture"]);
    let mut owner = Process::spawn({
        owner.env("WAIT_TO_BE_KILLED", "1");
        owner
    })
    .unwrap();
    wait_until_blocking("the grandchild", LIMIT, || grandchild(&owner.output()).is_some());
    let grandchild = grandchild(&owner.output()).unwrap();
    assert!(is_alive(grandchild));
    owner.kill();
    wait_until_blocking("the grandchild to be gone", LIMIT, || !is_alive(grandchild));
}

#[test]
fn waits_to_be_killed() {
    if std::env::var_os("WAIT_TO_BE_KILLED").is_some() {
        let mut process = Process::spawn(shell("sleep 1000")).unwrap();
        println!("grandchild={}", process.id());
        process.wait(LIMIT);
    }
}

fn grandchild(output: &str) -> Option<u32> {
    output.lines().find_map(|line| line.split_once("grandchild=")?.1.trim().parse().ok())
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// Whether the process runs; one that is dead and not yet reaped does not.
fn is_alive(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
