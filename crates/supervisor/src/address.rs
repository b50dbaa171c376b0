//! Where parts listen, and the choice of it.

use std::collections::BTreeSet;

use crate::error::{Conflict, Error};
use crate::part::{Part, Port};
use crate::ports;

/// Where one part listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) admin: Option<(String, u16)>,
    pub(crate) etcd: Option<(String, u16)>,
    pub(crate) dns: Option<(String, u16)>,
    /// Whether it speaks TLS on its own port and on etcd's.
    pub(crate) tls: bool,
}

impl Address {
    /// The address to call, also when the part listens on every address of the machine.
    pub(crate) fn url(&self) -> String {
        url(self.scheme(), &self.host, self.port)
    }

    /// The address of etcd's protocol.
    pub(crate) fn etcd_url(&self) -> Option<String> {
        self.etcd.as_ref().map(|(host, port)| url(self.scheme(), host, *port))
    }

    /// The address for operators.
    pub(crate) fn admin_url(&self) -> Option<String> {
        self.admin.as_ref().map(|(host, port)| url("http", host, *port))
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

/// The host to call for a host to bind.
pub(crate) fn reachable(host: &str) -> &str {
    match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    }
}

/// Host and port as one text, with brackets around an IPv6 address.
pub(crate) fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn url(scheme: &str, host: &str, port: u16) -> String {
    format!("{scheme}://{}", join(reachable(host), port))
}

/// Chooses where each part listens; tells all ports that are taken at once.
///
/// # Errors
///
/// [`Error::PortsInUse`] or [`Error::NoFreePort`].
pub(crate) fn choose(parts: &[Part]) -> Result<Vec<Address>, Error> {
    let mut choice = Choice::default();
    // Fixed ports first, so that no free one is chosen which is somebody's fixed one.
    for part in parts {
        choice.fix(part, &part.host, &part.port);
        for (host, port) in part.admin.iter().chain(&part.etcd).chain(&part.dns) {
            choice.fix(part, host, port);
        }
    }
    if !choice.conflicts.is_empty() {
        return Err(Error::PortsInUse { conflicts: choice.conflicts });
    }
    let address = |part: &Part| {
        let port = choice.port(&part.host, &part.port)?;
        let mut also = |wish: &Option<(String, Port)>| match wish {
            Some((host, port)) => choice.port(host, port).map(|port| Some((host.clone(), port))),
            None => Ok(None),
        };
        let (admin, etcd, dns) = (also(&part.admin)?, also(&part.etcd)?, also(&part.dns)?);
        Ok(Address { host: part.host.clone(), port, admin, etcd, dns, tls: part.tls })
    };
    parts.iter().map(address).collect()
}

#[derive(Default)]
struct Choice {
    taken: BTreeSet<u16>,
    conflicts: Vec<Conflict>,
}

impl Choice {
    fn fix(&mut self, part: &Part, host: &str, port: &Port) {
        let Port::Fixed { port, key } = port else { return };
        if ports::is_free(host, *port) && self.taken.insert(*port) {
            return;
        }
        let (part, host, key) = (part.name.clone(), host.to_owned(), key.clone());
        let holder = ports::holder(*port);
        self.conflicts.push(Conflict { part, host, port: *port, key, holder });
    }

    fn port(&mut self, host: &str, port: &Port) -> Result<u16, Error> {
        match port {
            Port::Fixed { port, .. } => Ok(*port),
            Port::Free => ports::free_port(host, &mut self.taken)
                .ok_or_else(|| Error::NoFreePort { host: host.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::part::tests::part;

    #[test]
    fn every_taken_port_is_told_at_once() {
        let sockets = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = sockets.each_ref().map(|socket| socket.local_addr().unwrap().port());
        let mut part = part("gateway", &[]);
        let fixed = |port| Port::Fixed { port, key: "gateway.listen".to_owned() };
        part.port = fixed(ports[0]);
        part.admin = Some(("127.0.0.1".to_owned(), fixed(ports[1])));
        let Err(Error::PortsInUse { conflicts }) = choose(&[part]) else { panic!("not told") };
        let told: Vec<_> = conflicts.iter().map(|conflict| conflict.port).collect();
        assert_eq!(told, ports);
        assert_eq!(conflicts[0].holder.as_ref().unwrap().pid, std::process::id());
    }

    #[test]
    fn two_parts_cannot_have_one_port() {
        let mut taken = BTreeSet::new();
        let port = ports::free_port("127.0.0.1", &mut taken).unwrap();
        let (mut one, mut two) = (part("one", &[]), part("two", &[]));
        one.port = Port::Fixed { port, key: "services.one.port".to_owned() };
        two.port = Port::Fixed { port, key: "services.two.port".to_owned() };
        let Err(Error::PortsInUse { conflicts }) = choose(&[one, two]) else { panic!("not told") };
        assert_eq!(conflicts[0].part, "two");
    }

    #[test]
    fn parts_without_a_wish_get_different_free_ports() {
        let parts = ["a", "b", "c"].map(|name| part(name, &[]));
        let ports: BTreeSet<u16> = choose(&parts).unwrap().iter().map(|a| a.port).collect();
        assert_eq!(ports.len(), 3);
    }

    #[test]
    fn a_part_on_all_addresses_is_called_at_loopback() {
        let mut address = Address {
            host: "0.0.0.0".to_owned(),
            port: 20001,
            admin: Some(("::1".to_owned(), 2)),
            etcd: Some(("127.0.0.1".to_owned(), 3)),
            dns: None,
            tls: false,
        };
        assert_eq!(address.url(), "http://127.0.0.1:20001");
        assert_eq!(address.admin_url().unwrap(), "http://[::1]:2");
        address.tls = true;
        assert_eq!(address.url(), "https://127.0.0.1:20001");
        assert_eq!(address.etcd_url().unwrap(), "https://127.0.0.1:3");
        assert_eq!(address.admin_url().unwrap(), "http://[::1]:2");
    }
}
