//! Tells requests that web pages cause in their reader's browser.
//!
//! Without access control the control plane listens on the loopback, where every browser of the machine
//! reaches it. A page reaches it in two ways: by a request to its address, which a browser sends
//! along with the page's `Origin`; and by a name of the page's own that it has resolve to this
//! address ("DNS rebinding"), which then stands in `Host`. Clients send no `Origin`, and ask
//! by an address, by localhost, or by a name that nobody can own in public DNS.

use http::{HeaderMap, header};

/// Endings of names that public DNS never resolves: RFC 6761, RFC 6762, ICANN's reserved `.internal`,
/// and what Kubernetes and Consul call their own.
const PRIVATE: [&str; 5] = ["localhost", "local", "internal", "svc", "consul"];

/// Why a request may be a web page's: it names the page's origin. None when it does not.
pub(crate) fn origin(headers: &HeaderMap) -> Option<String> {
    let text = "Permission denied: requests of web pages (with `Origin`) are refused";
    headers.contains_key(header::ORIGIN).then(|| text.to_owned())
}

/// Why a request may be a web page's: it asks by a name that the page's own could be. None when it
/// does not. `authority` is that of HTTP/2, or of a target in absolute form.
pub(crate) fn public_host(headers: &HeaderMap, authority: Option<&str>) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
    let public = hosts.find(|host| !is_private(host));
    let host = public.or(authority.filter(|host| !is_private(host)))?;
    Some(format!(
        "Permission denied: host `{host}` could be a web page's own name for this address; ask by IP \
         address, by localhost, or by a name without a dot or in .{}",
        PRIVATE.join(", .")
    ))
}

/// Whether a host, with or without a port, is an address or a name that is nobody's in public DNS.
fn is_private(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    match name.rsplit_once('.') {
        _ if is_address => true,
        Some((_, last)) => PRIVATE.contains(&last),
        None => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn clients_ask_by_address_by_localhost_or_by_a_private_name() {
        for host in [
            "127.0.0.1:8500",
            "[::1]:8500",
            "10.0.0.7",
            "localhost:8500",
            "LOCALHOST",
            "control-plane:8500",
            "registry.default.svc.cluster.local:8500",
            "registry.default.svc",
            "consul.service.consul:8500",
            "registry.internal.",
        ] {
            assert_eq!(public_host(&headers(&[("host", host)]), None), None, "{host}");
        }
        assert_eq!(
            public_host(&headers(&[]), None),
            None,
            "HTTP/1.0 has no host, and no browser speaks it"
        );
    }

    #[test]
    fn a_name_of_public_dns_is_refused_wherever_it_stands() {
        for host in
            ["rebound.example.com:8500", "a.b", "127.0.0.1.nip.io", "local.evil.dev", "", "é"]
        {
            assert!(public_host(&headers(&[("host", host)]), None).is_some(), "{host}");
        }
        assert!(public_host(&headers(&[]), Some("evil.dev")).is_some());
        let two = headers(&[("host", "127.0.0.1"), ("host", "evil.dev")]);
        assert!(public_host(&two, None).unwrap().contains("`evil.dev`"));
        let both = headers(&[("host", "127.0.0.1")]);
        assert!(public_host(&both, Some("evil.dev:8500")).is_some());
    }

    #[test]
    fn a_request_that_names_an_origin_is_a_pages() {
        for origin in ["https://evil.dev", "null", "http://127.0.0.1:8500"] {
            let asked = headers(&[("host", "127.0.0.1:8500"), ("origin", origin)]);
            assert!(super::origin(&asked).unwrap().contains("`Origin`"), "{origin}");
        }
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        fields.iter().map(|(name, text)| (name.parse().unwrap(), value(text))).collect()
    }
}
