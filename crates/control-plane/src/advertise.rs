//! Under which address others find this control plane and what registers without an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The address others use: the one that the operator names, else the one that is listened on. A
/// listener on every address has the one from which this machine reaches others.
pub(crate) fn advertised(named: Option<IpAddr>, listening: IpAddr) -> IpAddr {
    let address = choose(named, listening, towards_others);
    if named.is_none() && listening.is_unspecified() {
        tracing::warn!(
            %address,
            "listening on every address; services registered without an address are found at this \
             one, unless another is named with --advertise"
        );
    }
    address
}

fn choose(
    named: Option<IpAddr>,
    listening: IpAddr,
    towards_others: impl Fn(IpAddr) -> Option<IpAddr>,
) -> IpAddr {
    match named {
        Some(named) => named,
        None if !listening.is_unspecified() => listening,
        None => towards_others(listening).unwrap_or(Ipv4Addr::LOCALHOST.into()),
    }
}

/// The address from which this machine would reach one that is nobody's (RFC 5737, RFC 3849). No
/// packet is sent. None without a route.
fn towards_others(listening: IpAddr) -> Option<IpAddr> {
    let from = |own: IpAddr, other: IpAddr| {
        let socket = UdpSocket::bind(SocketAddr::new(own, 0)).ok()?;
        socket.connect(SocketAddr::new(other, 9)).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
    };
    let four = || from(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let six = || from(Ipv6Addr::UNSPECIFIED.into(), documentation.into());
    // A listener on every address of version 6 takes those of version 4, too.
    four().or_else(|| if listening.is_ipv6() { six() } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_address_comes_first_then_the_listeners_then_the_machines() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let machine = |_| Some(ip("10.0.0.7"));
        assert_eq!(choose(Some(ip("10.1.1.1")), ip("0.0.0.0"), machine), ip("10.1.1.1"));
        assert_eq!(choose(None, ip("10.0.0.5"), machine), ip("10.0.0.5"));
        assert_eq!(choose(None, ip("0.0.0.0"), machine), ip("10.0.0.7"));
        assert_eq!(choose(None, ip("::"), machine), ip("10.0.0.7"));
        assert_eq!(choose(None, ip("0.0.0.0"), |_| None), ip("127.0.0.1"));
    }
}
