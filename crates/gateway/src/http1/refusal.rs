//! Why a request is refused before any rule looks at it.

/// A request that is refused for its form. The connection closes after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400: the message breaks the grammar or could be read in two ways.
    Malformed(&'static str),
    /// 413: the body is longer than allowed.
    BodyTooLong,
    /// 414: the target is longer than allowed.
    TargetTooLong,
    /// 417: an expectation other than `100-continue`.
    Expectation,
    /// 431: the head is longer or has more fields than allowed.
    HeadTooLong,
    /// 405: a method that a reverse proxy must not serve.
    Method,
    /// 505: neither HTTP/1.0 nor HTTP/1.1.
    Version,
}

impl Refusal {
    /// The methods that are served, as `Allow` lists them.
    pub(crate) const SERVED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Method => 405,
            Self::BodyTooLong => 413,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLong => 431,
            Self::Version => 505,
        }
    }

    /// What the client is told.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Malformed(reason) => reason,
            Self::Method => "this method is not served; use GET, POST, PUT, PATCH or DELETE",
            Self::BodyTooLong => "the body is longer than this gateway accepts; send less",
            Self::TargetTooLong => "the request target is too long; shorten path and query",
            Self::Expectation => "only `Expect: 100-continue` is understood",
            Self::HeadTooLong => "the header fields are too long or too many; send fewer",
            Self::Version => "this port speaks HTTP/1.0, HTTP/1.1 and HTTP/2",
        }
    }
}
