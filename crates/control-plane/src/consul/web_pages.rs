//! Keeps web pages from calling the registry through their reader's browser.
//!
//! The registry has no access control and listens on the loopback, where every browser of the machine
//! reaches it. A page reaches it in two ways: by a request to its address, which a browser sends
//! along with the page's `Origin`; and by a name of the page's own that it has resolve to this
//! address ("DNS rebinding"), which then stands in `Host`. Consul's clients send no `Origin`, and ask
//! by an address, by localhost, or by a name that nobody can own in public DNS.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

use super::failure::Failure;

/// Endings of names that public DNS never resolves: RFC 6761, RFC 6762, ICANN's reserved `.internal`,
/// and what Kubernetes and Consul call their own.
const PRIVATE: [&str; 5] = ["localhost", "local", "internal", "svc", "consul"];

/// Answers 403 to a call of the API that a web page may have caused. Health and metrics are read by
/// whoever likes: they change nothing.
///
/// # Cancel safety
///
/// As the call's own.
pub(crate) async fn refuse_web_pages(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/v1/");
    let authority = request.uri().authority().map(|authority| authority.as_str());
    match cause(request.headers(), authority).filter(|_| is_api) {
        Some(cause) => Failure::new(StatusCode::FORBIDDEN, cause).into_response(),
        None => next.run(request).await,
    }
}

/// Why a request may be a web page's; none when it is not. `authority` is that of HTTP/2, or of a
/// target in absolute form.
fn cause(headers: &HeaderMap, authority: Option<&str>) -> Option<String> {
    if headers.contains_key(header::ORIGIN) {
        let text = "Permission denied: requests of web pages (with `Origin`) are refused";
        return Some(text.to_owned());
    }
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
            assert_eq!(cause(&headers(&[("host", host)]), None), None, "{host}");
        }
        assert_eq!(
            cause(&headers(&[]), None),
            None,
            "HTTP/1.0 has no host, and no browser speaks it"
        );
    }

    #[test]
    fn a_name_of_public_dns_is_refused_wherever_it_stands() {
        for host in
            ["rebound.example.com:8500", "a.b", "127.0.0.1.nip.io", "local.evil.dev", "", "é"]
        {
            assert!(cause(&headers(&[("host", host)]), None).is_some(), "{host}");
        }
        assert!(cause(&headers(&[]), Some("evil.dev")).is_some());
        let two = headers(&[("host", "127.0.0.1"), ("host", "evil.dev")]);
        assert!(cause(&two, None).unwrap().contains("`evil.dev`"));
        let both = headers(&[("host", "127.0.0.1")]);
        assert!(cause(&both, Some("evil.dev:8500")).is_some());
    }

    #[test]
    fn a_request_that_names_an_origin_is_a_pages() {
        for origin in ["https://evil.dev", "null", "http://127.0.0.1:8500"] {
            let asked = headers(&[("host", "127.0.0.1:8500"), ("origin", origin)]);
            assert!(cause(&asked, None).unwrap().contains("`Origin`"), "{origin}");
        }
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        fields.iter().map(|(name, text)| (name.parse().unwrap(), value(text))).collect()
    }
}
