//! A system's life: up, ps, logs, a death, down.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal::{SIGINT, SIGKILL};

use crate::shop::{REGATTA, Shop, is_alive, kill, part, until};

#[test]
fn a_detached_system_is_seen_and_stopped_from_outside() {
    let shop = Shop::new();
    let state = shop.up();
    for name in ["control-plane", "front-1", "gateway"] {
        assert_eq!(part(&state, name)["state"], "ready", "{state}");
        assert!(is_alive(part(&state, name)["pid"].as_u64().unwrap()));
    }
    assert_eq!(state["running"], true);
    assert_eq!(shop.ps()["parts"], state["parts"]);

    let table = shop.regatta(&["ps"]).out;
    assert!(table.starts_with("PART           URL"), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
    let log = shop.regatta(&["logs", "front", "-n", "1000"]).out;
    assert!(log.contains("front-1 | front begins"), "{log}");
    let token = shop.regatta(&["token", "--user", "1", "--role", "user"]);
    assert_eq!((token.code, token.out.trim().split('.').count()), (0, 3), "{}", token.err);

    let supervisor = state["supervisor"]["pid"].as_u64().unwrap();
    assert_eq!(session(supervisor), supervisor, "a terminal that closes takes it not along");

    let again = shop.regatta(&["up"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("runs already, under process"), "{}", again.err);

    let down = shop.regatta(&["down", "--format", "json"]).json();
    assert_eq!((&down["stopped"], &down["leftovers"]), (&true.into(), &0.into()));
    for part in state["parts"].as_array().unwrap() {
        assert!(!is_alive(part["pid"].as_u64().unwrap()), "{part}");
    }
    assert_eq!(shop.ps()["running"], false);
    assert!(shop.regatta(&["down"]).out.contains("nothing runs"));
}

#[test]
fn a_part_that_is_killed_comes_back_and_ps_counts_it() {
    let shop = Shop::new();
    let before = shop.up();
    kill(part(&before, "front-1")["pid"].as_u64().unwrap(), SIGKILL);
    until("the part is ready again", || {
        let state = shop.ps();
        let front = part(&state, "front-1");
        front["restarts"] == 1 && front["state"] == "ready"
    });
    let after = shop.ps();
    assert_ne!(part(&after, "front-1")["pid"], part(&before, "front-1")["pid"]);
    assert_eq!(part(&after, "gateway")["restarts"], 0);
}

#[test]
fn a_killed_supervisor_takes_its_parts_along_and_down_tidies_up() {
    let shop = Shop::new();
    let state = shop.up();
    kill(state["supervisor"]["pid"].as_u64().unwrap(), SIGKILL);
    for part in state["parts"].as_array().unwrap() {
        let pid = part["pid"].as_u64().unwrap();
        until("the part dies", || !is_alive(pid));
    }
    let ps = shop.regatta(&["ps"]);
    assert_eq!(ps.code, 1);
    assert!(ps.err.contains("regatta down"), "{}", ps.err);
    let doctor = shop.regatta(&["doctor"]);
    assert_eq!(doctor.code, 1, "{}", doctor.out);
    assert!(doctor.out.contains("clean up: regatta down"), "{}", doctor.out);
    assert_eq!(shop.regatta(&["down"]).code, 0);
    assert_eq!(shop.ps()["running"], false);
    // And nothing stands in the way of a new start.
    assert_eq!(part(&shop.up(), "front-1")["state"], "ready");
}

#[test]
fn the_state_of_a_killed_supervisor_is_not_that_of_the_next_one() {
    let shop = Shop::new();
    let killed = shop.up();
    kill(killed["supervisor"]["pid"].as_u64().unwrap(), SIGKILL);
    until("it is gone", || shop.regatta(&["ps"]).code == 1);
    // The next one holds the lock and has not written its state yet, as while it builds.
    let lock = std::fs::File::open(shop.path().join(".regatta/lock")).unwrap();
    lock.lock().unwrap();
    let ps = shop.ps();
    assert_eq!((&ps["running"], ps["parts"].as_array().unwrap().len()), (&true.into(), 0), "{ps}");
    drop(lock);
}

#[test]
fn in_the_foreground_ctrl_c_stops_everything() {
    let shop = Shop::new();
    let mut command = Command::new(REGATTA);
    command.args(["up", "--isolated"]).current_dir(shop.path());
    let mut up = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines().map(Result::unwrap);
    let seen: Vec<String> = lines.by_ref().take_while(|line| !line.contains("shop runs")).collect();
    assert!(seen.iter().any(|line| line.starts_with("PART ")), "{seen:?}");
    let state = shop.ps();
    kill(u64::from(up.id()), SIGINT);
    let rest: Vec<String> = lines.collect();
    assert!(up.wait().unwrap().success(), "{rest:?}");
    assert!(rest.iter().any(|line| line == "everything has stopped"), "{rest:?}");
    for part in state["parts"].as_array().unwrap() {
        assert!(!is_alive(part["pid"].as_u64().unwrap()), "{part}");
    }
}

/// The session that a process belongs to: the sixth field of its stat (proc(5)).
fn session(pid: u64) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split_whitespace().nth(3).unwrap().parse().unwrap()
}
