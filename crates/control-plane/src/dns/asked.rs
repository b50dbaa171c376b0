//! What a name asks for, by its labels.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The zone of all names.
pub(crate) const DOMAIN: &str = "consul";

/// What a name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The zone itself.
    Zone,
    /// The passing instances of a service, those with a tag if there is one.
    Service { name: String, tag: Option<String> },
    /// A node by its name.
    Node(String),
    /// An address written into the name, as targets of SRV records are.
    Address(IpAddr),
    /// Who has this address.
    Reverse(IpAddr),
    /// A name of the zone that nothing can have.
    Nothing,
    /// A name outside the zone.
    Outside,
}

impl Asked {
    /// Reads the labels of a name from left to right, without the root.
    ///
    /// `NAME.service`, `TAG.NAME.service`, `_NAME._TAG.service` (RFC 2782; the tag `tcp` means any),
    /// `NODE.node` and `HEX.addr`, each optionally followed by the datacenter, then `consul`.
    pub(crate) fn read(labels: &[&str], datacenter: &str) -> Self {
        let is = |label: &&str, text: &str| label.eq_ignore_ascii_case(text);
        let Some((last, labels)) = labels.split_last() else { return Self::Outside };
        if is(last, "arpa") {
            return reverse(labels).map_or(Self::Outside, Self::Reverse);
        }
        if !is(last, DOMAIN) {
            return Self::Outside;
        }
        if labels.is_empty() {
            return Self::Zone;
        }
        let kind = labels
            .iter()
            .rposition(|label| ["service", "node", "addr"].iter().any(|kind| is(label, kind)));
        let Some(kind) = kind else { return Self::Nothing };
        let (before, after) = (&labels[..kind], &labels[kind + 1..]);
        match after {
            [] => (),
            [given] if is(given, datacenter) => (),
            _ => return Self::Nothing,
        }
        match labels[kind].to_ascii_lowercase().as_str() {
            "service" => service(before),
            "node" if !before.is_empty() => Self::Node(before.join(".")),
            "addr" => match before {
                [hex] => address(hex).map_or(Self::Nothing, Self::Address),
                _ => Self::Nothing,
            },
            _ => Self::Nothing,
        }
    }
}

fn service(labels: &[&str]) -> Asked {
    let Some((name, tag)) = labels.split_last() else { return Asked::Nothing };
    if let [service, protocol] = labels
        && let (Some(service), Some(tag)) = (service.strip_prefix('_'), protocol.strip_prefix('_'))
    {
        let tag = (!tag.eq_ignore_ascii_case("tcp")).then(|| tag.to_owned());
        return Asked::Service { name: service.to_owned(), tag };
    }
    // A tag may have dots.
    let tag = (!tag.is_empty()).then(|| tag.join("."));
    Asked::Service { name: (*name).to_owned(), tag }
}

/// Eight hexadecimal digits are an IPv4 address, thirty-two an IPv6 one.
fn address(hex: &str) -> Option<IpAddr> {
    if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match hex.len() {
        8 => Some(Ipv4Addr::from_bits(u32::from_str_radix(hex, 16).ok()?).into()),
        32 => Some(Ipv6Addr::from_bits(u128::from_str_radix(hex, 16).ok()?).into()),
        _ => None,
    }
}

/// `4.3.2.1.in-addr` or thirty-two digits before `ip6`.
fn reverse(labels: &[&str]) -> Option<IpAddr> {
    let (zone, digits) = labels.split_last()?;
    if zone.eq_ignore_ascii_case("in-addr") {
        let octets: Option<Vec<u8>> = digits.iter().rev().map(|text| text.parse().ok()).collect();
        return Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets?).ok()?).into());
    }
    if !zone.eq_ignore_ascii_case("ip6") || digits.iter().any(|digit| digit.len() != 1) {
        return None;
    }
    let hex: String = digits.iter().rev().copied().collect();
    address(&hex).filter(IpAddr::is_ipv6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(name: &str) -> Asked {
        let labels: Vec<_> = name.split('.').collect();
        Asked::read(&labels, "dc1")
    }

    fn service(name: &str, tag: Option<&str>) -> Asked {
        Asked::Service { name: name.to_owned(), tag: tag.map(str::to_owned) }
    }

    #[test]
    fn a_service_may_have_a_tag_before_it_and_a_datacenter_after_it() {
        assert_eq!(read("web.service.consul"), service("web", None));
        assert_eq!(read("Web.SERVICE.dc1.Consul"), service("Web", None));
        assert_eq!(read("blue.web.service.consul"), service("web", Some("blue")));
        assert_eq!(read("v1.2.web.service.dc1.consul"), service("web", Some("v1.2")));
        assert_eq!(read("_web._tcp.service.consul"), service("web", None));
        assert_eq!(read("_web._blue.service.consul"), service("web", Some("blue")));
        assert_eq!(read("service.service.consul"), service("service", None));
    }

    #[test]
    fn a_node_an_address_and_the_zone_have_names() {
        assert_eq!(read("db-1.node.consul"), Asked::Node("db-1".to_owned()));
        assert_eq!(read("a.b.node.dc1.consul"), Asked::Node("a.b".to_owned()));
        assert_eq!(read("7f000001.addr.dc1.consul"), Asked::Address([127, 0, 0, 1].into()));
        let six = "20010db8000000000000000000000001.addr.consul";
        assert_eq!(read(six), Asked::Address("2001:db8::1".parse().unwrap()));
        assert_eq!(read("consul"), Asked::Zone);
    }

    #[test]
    fn an_address_is_read_backwards_from_its_reverse_name() {
        assert_eq!(read("4.3.2.10.in-addr.arpa"), Asked::Reverse([10, 2, 3, 4].into()));
        let six = format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23));
        assert_eq!(read(&six), Asked::Reverse("2001:db8::1".parse().unwrap()));
        for other in ["arpa", "3.2.10.in-addr.arpa", "x.3.2.10.in-addr.arpa", "1.ip6.arpa"] {
            assert_eq!(read(other), Asked::Outside, "{other}");
        }
    }

    #[test]
    fn what_is_no_name_of_the_zone_is_told_from_what_is_outside_it() {
        for name in [
            "service.consul",
            "node.consul",
            "addr.consul",
            "web.consul",
            "web.query.consul",
            "zz.addr.consul",
            "7f0001.addr.consul",
            "web.service.dc1.dc1.consul",
            "web.service.dc2.consul",
        ] {
            assert_eq!(read(name), Asked::Nothing, "{name}");
        }
        for name in ["example.org", "consul.example", ""] {
            assert_eq!(read(name), Asked::Outside, "{name}");
        }
        assert_eq!(Asked::read(&[], "dc1"), Asked::Outside);
    }

    proptest! {
        #[test]
        fn every_address_is_found_again(bits: u32, six: u128) {
            let name = format!("{bits:08x}.addr.consul");
            prop_assert_eq!(read(&name), Asked::Address(Ipv4Addr::from_bits(bits).into()));
            let name = format!("{six:032x}.addr.consul");
            prop_assert_eq!(read(&name), Asked::Address(Ipv6Addr::from_bits(six).into()));
        }

        #[test]
        fn any_labels_are_read_without_a_panic(labels: Vec<String>) {
            let labels: Vec<_> = labels.iter().map(String::as_str).chain(["consul"]).collect();
            let _ = Asked::read(&labels, "dc1");
        }
    }
}
