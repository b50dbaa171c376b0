//! A port that nobody else takes.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::PathBuf;
use std::process;
use std::sync::Mutex;

/// Below what systems give to outgoing connections (Linux: from 32768 on, `ip_local_port_range`),
/// so that no connection takes the port of a server that a test has stopped and will start again.
const PORTS: Range<u16> = 12_000..32_000;

/// The ports of this process, by their locked files: other tests' processes pass them by until
/// this one ends, however it ends.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A TCP port of 127.0.0.1 that is free now, and that no other process of tests takes while this
/// one runs.
///
/// # Panics
///
/// When the machine has no free port left, or no temporary directory.
pub fn free_port() -> u16 {
    let directory = directory();
    fs::create_dir_all(&directory).expect("the temporary directory can be written to");
    let mut taken = TAKEN.lock().expect("nobody panics with it");
    let count = usize::from(PORTS.end - PORTS.start);
    // Processes begin far from each other, and each goes on where it was.
    let begin = process::id() as usize * 97 + taken.len();
    for port in PORTS.cycle().skip(begin % count).take(count) {
        let file = File::create(directory.join(port.to_string()));
        let file = file.expect("the temporary directory can be written to");
        if file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            taken.push(file);
            return port;
        }
    }
    panic!("no port from {} to {} is free", PORTS.start, PORTS.end)
}

/// Of this user: another one's files could not be opened.
fn directory() -> PathBuf {
    env::temp_dir().join(format!("regatta-testkit-ports-{}", nix::unistd::geteuid()))
}

/// As many ports, each another one.
///
/// # Panics
///
/// As [`free_port`].
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    [(); COUNT].map(|()| free_port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_several_ports_is_another() {
        let ports = free_ports::<100>();
        assert_eq!(std::collections::HashSet::from(ports).len(), 100);
    }

    #[test]
    fn a_port_that_another_process_has_is_passed_by() {
        // A lock belongs to the open file: one that is opened anew stands for another process.
        let port = free_port();
        let again = File::create(directory().join(port.to_string()));
        assert!(again.unwrap().try_lock().is_err());
    }

    #[test]
    fn ports_are_not_those_of_outgoing_connections() {
        assert!(free_ports::<10>().iter().all(|port| PORTS.contains(port)));
    }

    #[test]
    fn the_port_can_be_listened_on() {
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).is_ok());
    }
}
