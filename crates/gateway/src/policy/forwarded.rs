//! Who asked, over which hops: `X-Forwarded-*` and `Forwarded` (RFC 7239).

use std::io::Write;
use std::net::IpAddr;

use crate::http1::name::{Name, classify};

/// Appends the fields that say for whom a request is forwarded, each with its CRLF.
///
/// What a trusted hop said (`existing`, in order, any names) is extended; pass none for others.
pub(crate) fn write<'f>(
    existing: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    peer: IpAddr,
    host: &[u8],
    out: &mut Vec<u8>,
) {
    let values = |wanted: Name| {
        existing.clone().filter(move |(name, _)| classify(name) == wanted).map(|(_, value)| value)
    };
    let peer = peer.to_canonical();

    out.extend_from_slice(b"X-Forwarded-For: ");
    list(values(Name::ForwardedFor), out);
    push_address(out, peer);
    out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
    out.extend_from_slice(values(Name::ForwardedProto).next().unwrap_or(b"http"));
    let seen_host = values(Name::ForwardedHost).next().unwrap_or(host);
    if !seen_host.is_empty() {
        out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
        out.extend_from_slice(seen_host);
    }
    out.extend_from_slice(b"\r\nForwarded: ");
    list(values(Name::Forwarded), out);
    // An IPv6 address needs brackets and quotes (RFC 7239, section 6).
    if peer.is_ipv6() {
        out.extend_from_slice(b"for=\"[");
        push_address(out, peer);
        out.extend_from_slice(b"]\"");
    } else {
        out.extend_from_slice(b"for=");
        push_address(out, peer);
    }
    if !host.is_empty() {
        // Quoted, because a port's colon is no token character.
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(host);
        out.push(b'"');
    }
    out.extend_from_slice(b";proto=http\r\n");
}

fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                super::number::push(out, octet.into());
            }
        }
        // Writing to memory cannot fail.
        IpAddr::V6(address) => _ = write!(out, "{address}"),
    }
}

fn list<'v>(values: impl Iterator<Item = &'v [u8]>, out: &mut Vec<u8>) {
    for value in values.filter(|value| !value.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(existing: &[(&'static str, &'static str)], peer: &str, host: &str) -> String {
        let existing = existing.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let mut out = Vec::new();
        write(existing, peer.parse().unwrap(), host.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn says_who_asked_and_for_which_host() {
        assert_eq!(
            written(&[], "192.0.2.1", "shop:8080"),
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\
             X-Forwarded-Host: shop:8080\r\n\
             Forwarded: for=192.0.2.1;host=\"shop:8080\";proto=http\r\n"
        );
        let v6 = written(&[], "2001:db8::1", "");
        assert!(v6.contains("X-Forwarded-For: 2001:db8::1\r\n"), "{v6}");
        assert!(v6.contains("Forwarded: for=\"[2001:db8::1]\";proto=http\r\n"), "{v6}");
        assert!(written(&[], "::ffff:1.2.3.4", "h").contains("for=1.2.3.4;"));
    }

    #[test]
    fn extends_what_a_trusted_hop_said() {
        let text = written(
            &[
                ("X-Forwarded-For", "203.0.113.7"),
                ("x-forwarded-proto", "https"),
                ("X-Forwarded-Host", "shop.example"),
                ("Forwarded", "for=203.0.113.7;proto=https"),
            ],
            "10.0.0.1",
            "inner",
        );
        assert_eq!(
            text,
            "X-Forwarded-For: 203.0.113.7, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Host: shop.example\r\n\
             Forwarded: for=203.0.113.7;proto=https, for=10.0.0.1;host=\"inner\";proto=http\r\n"
        );
    }
}
