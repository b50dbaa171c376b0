//! Free ports, and who holds one that is not.

use std::collections::BTreeSet;
use std::net::{TcpListener, ToSocketAddrs};

use rand::Rng as _;

use crate::process::identity;

/// Where free ports are looked for: above the well-known services of a developer's machine and
/// below the range from which Linux (32768) takes ports for outgoing connections, one of which could
/// otherwise sit on the port of a service that restarts.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Tries before any port of the operating system's choice is taken.
const TRIES: usize = 200;

/// Whether nothing listens on the port and this user may.
pub fn is_free(host: &str, port: u16) -> bool {
    let Ok(addresses) = (host, port).to_socket_addrs() else { return false };
    let addresses: Vec<_> = addresses.collect();
    TcpListener::bind(addresses.as_slice()).is_ok()
}

/// A free port that is not one of `taken`, which it joins.
///
/// Nothing keeps another program from taking it before the part does; a part that dies of that
/// starts again on another.
pub fn free_port(host: &str, taken: &mut BTreeSet<u16>) -> Option<u16> {
    let mut random = rand::rng();
    let drawn = (0..TRIES).map(|_| random.random_range(RANGE));
    let any = || TcpListener::bind((host, 0)).and_then(|socket| socket.local_addr());
    let mut free = drawn.filter(|port| !taken.contains(port) && is_free(host, *port));
    let port = free.next().or_else(|| any().ok().map(|address| address.port()))?;
    taken.insert(port);
    Some(port)
}

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its command line, cut to 80 characters.
    pub command: String,
}

/// The process that listens on this TCP port, when the system tells us.
///
/// Linux only; processes of other users are not seen without privileges.
pub fn holder(port: u16) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(std::fs::read_to_string);
    let inodes: BTreeSet<u64> =
        tables.iter().flatten().flat_map(|table| listening_inodes(table, port)).collect();
    let sockets: BTreeSet<String> =
        inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    if sockets.is_empty() {
        return None;
    }
    let holds = |pid: &u32| {
        let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut links = descriptors.flatten().filter_map(|entry| entry.path().read_link().ok());
        links.any(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
    };
    let pid = identity::processes().into_iter().find(holds)?;
    Some(Holder { pid, command: identity::command_line(pid) })
}

/// Inodes of the sockets that listen on the port, from the text of `/proc/net/tcp`.
///
/// # Source
///
/// proc_net_tcp.txt of the Linux kernel: local address (hexadecimal, port after the colon) is the
/// second field, state the fourth (`0A` is listening), inode the tenth.
fn listening_inodes(table: &str, port: u16) -> Vec<u64> {
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = fields.get(1)?.rsplit_once(':')?.1;
        let listens = fields.get(3) == Some(&"0A");
        let matches = u16::from_str_radix(local, 16).is_ok_and(|local| local == port);
        (listens && matches).then(|| fields.get(9)?.parse().ok())?
    };
    table.lines().skip(1).filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once() {
        let mut taken = BTreeSet::new();
        let ports: BTreeSet<_> =
            (0..50).map(|_| free_port("127.0.0.1", &mut taken).unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }

    #[test]
    fn a_port_with_a_listener_is_not_free_and_its_holder_is_known() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(!is_free("127.0.0.1", port));
        assert_eq!(holder(port).unwrap().pid, std::process::id());
        drop(socket);
        assert!(is_free("127.0.0.1", port));
    }

    #[test]
    fn reads_only_listening_sockets_of_that_port() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1
   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1
";
        assert_eq!(listening_inodes(table, 8080), [4711]);
    }
}
