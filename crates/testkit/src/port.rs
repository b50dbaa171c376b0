//! A port nobody listens on.

use std::net::{Ipv4Addr, TcpListener};

/// A TCP port of 127.0.0.1 that is free now.
///
/// Another process may take it before the caller does; a server that can listen on port 0 and say
/// where it landed should do that instead.
///
/// # Panics
///
/// When the machine has no free port left.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port exists");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// As many ports, each another one.
///
/// # Panics
///
/// When there are not as many.
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    // Held until all are known: one that is given back may be given out again at once.
    let listeners = [(); COUNT]
        .map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port exists"));
    listeners.map(|it| it.local_addr().expect("a bound listener has an address").port())
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
    fn the_port_can_be_listened_on() {
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).is_ok());
    }
}
