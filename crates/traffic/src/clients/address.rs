//! The address that a call came from, over hops that are trusted.

use std::net::{IpAddr, SocketAddr};

use super::Network;

/// The address a call came from: of what trusted hops report, the last one that is not theirs.
///
/// `reported` are the values of `X-Forwarded-For` in order; they are read only if the peer is trusted.
pub fn client_address<'f>(
    peer: IpAddr,
    trusted: &[Network],
    reported: impl Iterator<Item = &'f [u8]>,
) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let hops: Vec<_> = reported.flat_map(tokens).map(parse_address).collect();
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        // What does not parse ends the chain: nothing before it can be believed.
        let Some(address) = hop else { break };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// The items of a list in a field (RFC 9110, section 5.6.1).
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    // Some hops add the port.
    let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_address_that_no_trusted_hop_has() {
        let trusted: Vec<Network> = vec!["10.0.0.0/8".parse().unwrap()];
        let client = |peer: &str, reported: &'static [&'static [u8]]| {
            let reported = reported.iter().copied();
            client_address(peer.parse().unwrap(), &trusted, reported).to_string()
        };
        assert_eq!(client("192.0.2.1", &[b"1.1.1.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[b"1.1.1.1, 203.0.113.7"]), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &[b"1.1.1.1", b"203.0.113.7:99, 10.0.0.2"]), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &[b"10.0.0.3"]), "10.0.0.3");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[b"1.1.1.1, unknown"]), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &[b"::ffff:1.1.1.1"]), "1.1.1.1");
    }
}
