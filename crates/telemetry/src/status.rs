//! What a request or call came to, in the words of the semantic conventions.

use http::{HeaderMap, Method};
use opentelemetry::KeyValue;

/// A method as metrics count it: the well-known ones, and one name for all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MethodName(u8);

impl MethodName {
    /// The names, the one for all others last.
    const NAMES: [&str; 10] =
        ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "_OTHER"];

    /// How many there are.
    pub(crate) const COUNT: usize = Self::NAMES.len();

    pub(crate) fn of(method: &Method) -> Self {
        Self(match *method {
            Method::GET => 0,
            Method::POST => 1,
            Method::PUT => 2,
            Method::DELETE => 3,
            Method::PATCH => 4,
            Method::HEAD => 5,
            Method::OPTIONS => 6,
            Method::CONNECT => 7,
            Method::TRACE => 8,
            // Any text is a method, and each would make series of its own.
            _ => 9,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// Its place among all of them.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..Self::NAMES.len() as u8).map(Self)
    }
}

/// How a request, call or query ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Outcome {
    /// HTTP status; none when no response was made.
    pub(crate) status: Option<u16>,
    /// gRPC's code, 0 to 16; none when it is not known or not gRPC.
    pub(crate) grpc: Option<u8>,
    /// `error.type` when the status does not say it: `cancelled`, `panic`, `timeout`, …
    pub(crate) error: Option<&'static str>,
}

impl Outcome {
    /// The outcome of a response with these headers.
    pub(crate) fn of(status: u16, headers: &HeaderMap, is_grpc: bool) -> Self {
        Self {
            status: Some(status),
            grpc: if is_grpc { grpc_status(headers) } else { None },
            error: None,
        }
    }

    pub(crate) fn failed(error: &'static str) -> Self {
        Self { status: None, grpc: None, error: Some(error) }
    }

    /// `error.type` of a server: its own failures, not its callers' mistakes.
    pub(crate) fn server_error(self, is_grpc: bool) -> Option<String> {
        self.error_type(is_grpc, 500)
    }

    /// `error.type` of a client: every answer that is not a success.
    pub(crate) fn client_error(self, is_grpc: bool) -> Option<String> {
        self.error_type(is_grpc, 400)
    }

    fn error_type(self, is_grpc: bool, from_status: u16) -> Option<String> {
        if let Some(error) = self.error {
            return Some(error.to_owned());
        }
        if is_grpc {
            // A server's fault by the conventions: unknown, deadline exceeded, unimplemented,
            // internal, unavailable, data loss.
            let is_error = |code: &u8| {
                *code != 0 && (from_status < 500 || matches!(code, 2 | 4 | 12 | 13 | 14 | 15))
            };
            if self.grpc.is_some() {
                return self.grpc.filter(is_error).map(|code| grpc_name(code).to_owned());
            }
        }
        self.status.filter(|status| *status >= from_status).map(|status| status.to_string())
    }

    pub(crate) fn attributes(self, is_grpc: bool) -> impl Iterator<Item = KeyValue> {
        let rpc = self.grpc.filter(|_| is_grpc);
        let rpc = rpc.map(|code| KeyValue::new("rpc.response.status_code", grpc_name(code)));
        let http = self.status.filter(|_| !is_grpc || rpc.is_none());
        let http = http.map(|status| KeyValue::new("http.response.status_code", i64::from(status)));
        rpc.into_iter().chain(http)
    }
}

/// Whether the request or response is gRPC's.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(http::header::CONTENT_TYPE).is_some_and(|value| {
        let rest = value.as_bytes().strip_prefix(b"application/grpc");
        // Not gRPC-Web, whose trailers are in the body.
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}

/// The `grpc-status` of headers (a response of trailers only) or of trailers, 0 to 16; none where
/// there is none, or it is no number.
pub fn grpc_status(headers: &HeaderMap) -> Option<u8> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse::<u8>().ok()?;
    // A number that the standard does not know is unknown.
    Some(if code <= 16 { code } else { 2 })
}

/// The name of a gRPC code as semantic conventions write it, such as `UNAVAILABLE`.
pub fn grpc_name(code: u8) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES.get(usize::from(code)).copied().unwrap_or("UNKNOWN")
}

/// Splits `/package.Service/Method` into `package.Service` and `Method`.
pub(crate) fn split_rpc(path: &str) -> Option<(&str, &str)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let fits = !service.is_empty() && !method.is_empty() && !method.contains('/');
    fits.then_some((service, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn knows_grpc_by_its_content_type_and_not_grpc_web() {
        for (text, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_grpc(&headers(&[("content-type", text)])), expected, "{text}");
        }
    }

    #[test]
    fn reads_a_grpc_status_and_takes_an_unheard_one_for_unknown() {
        assert_eq!(grpc_status(&headers(&[("grpc-status", "5")])), Some(5));
        assert_eq!(grpc_status(&headers(&[("grpc-status", "99")])), Some(2));
        assert_eq!(grpc_status(&headers(&[("grpc-status", "x")])), None);
        assert_eq!(grpc_status(&HeaderMap::new()), None);
    }

    #[test]
    fn a_callers_mistake_is_no_error_of_the_server_but_one_of_the_client() {
        let not_found = Outcome { status: Some(404), ..Outcome::default() };
        assert_eq!(not_found.server_error(false), None);
        assert_eq!(not_found.client_error(false).as_deref(), Some("404"));
        let rpc = Outcome { status: Some(200), grpc: Some(5), error: None };
        assert_eq!(rpc.server_error(true), None);
        assert_eq!(rpc.client_error(true).as_deref(), Some("NOT_FOUND"));
    }

    #[test]
    fn a_servers_own_failure_is_an_error_of_both() {
        let failed = Outcome { status: Some(503), ..Outcome::default() };
        assert_eq!(failed.server_error(false).as_deref(), Some("503"));
        let rpc = Outcome { status: Some(200), grpc: Some(13), error: None };
        assert_eq!(rpc.server_error(true).as_deref(), Some("INTERNAL"));
        assert_eq!(Outcome::failed("panic").server_error(false).as_deref(), Some("panic"));
    }

    #[test]
    fn a_success_is_no_error() {
        let ok = Outcome { status: Some(200), grpc: Some(0), error: None };
        assert_eq!((ok.server_error(true), ok.client_error(true)), (None, None));
    }

    #[test]
    fn only_a_path_of_two_segments_is_a_grpc_method() {
        assert_eq!(split_rpc("/a.B/Get"), Some(("a.B", "Get")));
        for path in ["", "/", "/a", "/a/", "//b", "/a/b/c", "a/b"] {
            assert_eq!(split_rpc(path), None, "{path}");
        }
    }

    #[test]
    fn an_unheard_method_shares_one_name() {
        assert_eq!(MethodName::of(&Method::from_bytes(b"BREW").unwrap()).name(), "_OTHER");
        assert_eq!(MethodName::of(&Method::PATCH).name(), "PATCH");
    }
}
