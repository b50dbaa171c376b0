//! A request's head, parsed strictly and read in one pass.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::framing::Framing;
use super::name::{Name, classify, tokens};
use super::{Body, Refusal, target};
use crate::Limits;

/// Room for header fields on the stack; [`Limits::headers`] may not exceed it.
pub(crate) const MOST_FIELDS: usize = 128;

/// Where a parser puts header fields.
#[derive(Debug)]
pub struct Fields<'b>(pub(crate) [MaybeUninit<Header<'b>>; MOST_FIELDS]);

impl Default for Fields<'_> {
    fn default() -> Self {
        Self([const { MaybeUninit::uninit() }; MOST_FIELDS])
    }
}

/// A request's head, borrowed from the bytes it came in.
#[derive(Debug)]
pub struct RequestHead<'b> {
    /// Bytes of the head, the empty line included.
    pub length: usize,
    /// The method, in the case it came in.
    pub method: &'b str,
    /// The target as it came.
    pub target: &'b str,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// The header fields in order.
    pub fields: &'b [Header<'b>],
}

/// Parses a head out of the first bytes of a message; none when more bytes are needed.
///
/// Every line must end with CRLF; obsolete folding, NUL, bare CR and LF, and spaces before a colon
/// are refused (RFC 9112, sections 2.2, 5.1 and 5.2).
///
/// # Errors
///
/// [`Refusal`] for what can never become a valid head, and for one past the limits.
pub fn parse_request<'b>(
    bytes: &'b [u8],
    fields: &'b mut Fields<'b>,
    limits: &Limits,
) -> Result<Option<RequestHead<'b>>, Refusal> {
    // The parser skips any empty lines, with LF alone too; one CRLF is what RFC 9112, section 2.2
    // asks a server to skip, and the caller does.
    if matches!(bytes.first(), Some(b'\r' | b'\n')) {
        return Err(Refusal::Malformed("a request does not begin with an empty line"));
    }
    let most = limits.headers.min(MOST_FIELDS);
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut fields.0[..most]) {
        Ok(Status::Complete(length)) => {
            let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
            if target.len() > limits.target_bytes {
                return Err(Refusal::TargetTooLong);
            }
            if length > limits.header_bytes {
                return Err(Refusal::HeadTooLong);
            }
            let minor_version = request.version.unwrap_or(1);
            let fields: &'b [Header<'b>] = request.headers;
            check_line_ends(bytes, length, method.len() + target.len() + 10, fields)?;
            Ok(Some(RequestHead { length, method, target, minor_version, fields }))
        }
        Ok(Status::Partial) => {
            let line = bytes.iter().position(|byte| *byte == b'\n');
            if line.is_none() && bytes.len() > limits.target_bytes + 32 {
                return Err(Refusal::TargetTooLong);
            }
            if bytes.len() >= limits.header_bytes {
                return Err(Refusal::HeadTooLong);
            }
            Ok(None)
        }
        Err(httparse::Error::Version) if !has_http_version(bytes) => {
            Err(Refusal::Malformed("the request line is malformed"))
        }
        Err(error) => Err(refusal_of(error)),
    }
}

/// Whether the first line is of three words, the last one like `HTTP/2.0`.
fn has_http_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or(bytes);
    let mut words = line.split(|byte| *byte == b' ');
    let version = words.nth(2).and_then(|word| word.strip_prefix(b"HTTP/"));
    let digits = |v: &[u8]| v.len() == 3 && v[0].is_ascii_digit() && v[2].is_ascii_digit();
    words.next().is_none() && version.is_some_and(digits)
}

fn refusal_of(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::HeadTooLong,
        httparse::Error::Version => Refusal::Version,
        httparse::Error::HeaderName => Refusal::Malformed("a header field's name is malformed"),
        httparse::Error::HeaderValue => Refusal::Malformed("a header field's value is malformed"),
        httparse::Error::NewLine => Refusal::Malformed("a line does not end with CRLF"),
        httparse::Error::Token | httparse::Error::Status => {
            Refusal::Malformed("the request line is malformed")
        }
    }
}

/// Refuses lines that end with LF alone, which the parser lets pass: a proxy and a server that
/// disagree about where a line ends disagree about where a request ends.
pub(super) fn check_line_ends(
    bytes: &[u8],
    length: usize,
    first_line: usize,
    fields: &[Header<'_>],
) -> Result<(), Refusal> {
    const BARE: Refusal = Refusal::Malformed("a line ends with LF alone");
    if !bytes[..length].ends_with(b"\r\n\r\n") && !fields.is_empty() {
        return Err(BARE);
    }
    if bytes.get(first_line..first_line + 2) != Some(b"\r\n") {
        return Err(Refusal::Malformed("the first line has extra spaces or ends with LF alone"));
    }
    for field in fields {
        // Optional white space is cut off a value's end, so the line's end is looked for.
        let mut at = offset(bytes, field.value.as_ptr()) + field.value.len();
        if field.value.is_empty() {
            // An empty value points anywhere between the colon and the line's end.
            at = offset(bytes, field.name.as_ptr()) + field.name.len() + 1;
        }
        while matches!(bytes.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        if bytes.get(at..at + 2) != Some(b"\r\n") {
            return Err(BARE);
        }
    }
    if !bytes[..length].ends_with(b"\r\n\r\n") { Err(BARE) } else { Ok(()) }
}

/// Where a part of the message begins in it.
pub(crate) fn offset(bytes: &[u8], part: *const u8) -> usize {
    part as usize - bytes.as_ptr() as usize
}

/// What the rules need to know of a request, from one pass over its fields.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'b> {
    /// The target, taken apart.
    pub target: target::Target<'b>,
    /// The host the request is for.
    pub host: &'b str,
    /// How the body ends.
    pub body: Body,
    /// Whether the connection may serve another request.
    pub keep_alive: bool,
    /// The protocol of an `Upgrade` that `Connection` names.
    pub upgrade: Option<&'b str>,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
    /// A set bit for each field that is not passed on as it is.
    pub(crate) dropped: u128,
    /// A set bit for each `tracestate`, which goes with the trace it came with.
    pub(crate) tracestate: u128,
    pub(crate) headers: Headers<'b>,
}

/// The header fields that policies look at, first of each name; shared with HTTP/2.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Headers<'b> {
    pub(crate) authorization: Option<&'b [u8]>,
    /// Whether `Authorization` came more than once, which nobody can verify.
    pub(crate) ambiguous_authorization: bool,
    pub(crate) client_id: Option<&'b [u8]>,
    pub(crate) request_id: Option<&'b [u8]>,
    pub(crate) traceparent: Option<&'b [u8]>,
    pub(crate) content_type: Option<&'b [u8]>,
    pub(crate) grpc_timeout: Option<&'b [u8]>,
    pub(crate) envoy_timeout: Option<&'b [u8]>,
    pub(crate) attempt: Option<&'b [u8]>,
    pub(crate) has_forwarding: bool,
    pub(crate) priority: Option<&'b [u8]>,
    /// Whether the client says that doing it twice does it once.
    pub(crate) has_idempotency_key: bool,
}

impl<'b> Facts<'b> {
    /// Reads the fields of a head.
    ///
    /// # Errors
    ///
    /// [`Refusal`] for a message whose framing, host or target is ambiguous.
    pub fn of(head: &RequestHead<'b>, limits: &Limits) -> Result<Self, Refusal> {
        if matches!(head.method, "CONNECT" | "TRACE") {
            return Err(Refusal::Method);
        }
        let target = target::parse(head.method, head.target)?;
        let mut pass = Pass::default();
        for (index, field) in head.fields.iter().enumerate() {
            pass.take(index, field)?;
        }
        pass.drop_named(head.fields)?;
        let host = pass.host(head.minor_version, target.authority)?;
        let body = pass.framing.of_request(head.minor_version)?;
        if matches!(body, Body::Length(length) if length > limits.body_bytes) {
            return Err(Refusal::BodyTooLong);
        }
        let keep_alive = if head.minor_version == 0 { pass.persist } else { !pass.close };
        Ok(Self {
            target,
            host,
            body,
            keep_alive: keep_alive && !pass.close,
            upgrade: pass.upgrade.filter(|_| pass.upgrades && head.minor_version == 1),
            expects_continue: pass.expects && head.minor_version == 1,
            dropped: pass.dropped,
            tracestate: pass.tracestate,
            headers: pass.headers,
        })
    }
}

#[derive(Default)]
struct Pass<'b> {
    framing: Framing,
    hosts: u32,
    host: Option<&'b [u8]>,
    close: bool,
    persist: bool,
    upgrades: bool,
    upgrade: Option<&'b str>,
    expects: bool,
    /// Whether `Connection` names fields that are not hop-by-hop by themselves.
    names_others: bool,
    dropped: u128,
    tracestate: u128,
    headers: Headers<'b>,
}

impl<'b> Pass<'b> {
    fn take(&mut self, index: usize, field: &Header<'b>) -> Result<(), Refusal> {
        let value = field.value;
        let headers = &mut self.headers;
        let dropped = match classify(field.name.as_bytes()) {
            Name::Other | Name::RateLimit | Name::Date => return Ok(()),
            Name::Priority => {
                headers.priority = headers.priority.or(Some(value));
                false
            }
            Name::IdempotencyKey => {
                headers.has_idempotency_key = true;
                false
            }
            Name::Host => {
                self.hosts += 1;
                self.host = Some(value);
                true
            }
            Name::ContentLength => {
                self.framing.content_length(value).map_err(Refusal::Malformed)?;
                true
            }
            Name::TransferEncoding => {
                self.framing.transfer_encoding(value).map_err(Refusal::Malformed)?;
                true
            }
            Name::Connection => {
                self.connection(value);
                true
            }
            Name::Upgrade => {
                self.upgrade = std::str::from_utf8(value).ok();
                true
            }
            Name::Expect if value.eq_ignore_ascii_case(b"100-continue") => {
                self.expects = true;
                true
            }
            Name::Expect => return Err(Refusal::Expectation),
            Name::HopByHop | Name::Identity | Name::Disguised => true,
            Name::Authorization => {
                headers.ambiguous_authorization |= headers.authorization.replace(value).is_some();
                false
            }
            Name::ClientId => {
                headers.client_id = headers.client_id.or(Some(value));
                false
            }
            Name::ContentType => {
                headers.content_type = Some(value);
                false
            }
            // Made or passed on by the gateway, each once.
            Name::RequestId => {
                headers.request_id = headers.request_id.or(Some(value));
                true
            }
            Name::Traceparent => {
                headers.traceparent = headers.traceparent.or(Some(value));
                true
            }
            Name::Tracestate => {
                self.tracestate |= 1 << index;
                false
            }
            Name::AttemptCount => {
                headers.attempt = headers.attempt.or(Some(value));
                true
            }
            Name::GrpcTimeout => {
                headers.grpc_timeout = headers.grpc_timeout.or(Some(value));
                true
            }
            Name::EnvoyTimeout => {
                headers.envoy_timeout = headers.envoy_timeout.or(Some(value));
                true
            }
            Name::Forwarded | Name::ForwardedFor | Name::ForwardedHost | Name::ForwardedProto => {
                headers.has_forwarding = true;
                true
            }
        };
        if dropped {
            self.dropped |= 1 << index;
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for token in tokens(value) {
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.persist = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                self.upgrades = true;
            } else {
                self.names_others = true;
            }
        }
    }

    /// Drops the fields that `Connection` names. Those that frame a message, say for whom it is or
    /// who sent it are end-to-end whatever it says, so naming them is refused: a proxy must not be
    /// talked into dropping what a later hop decides on.
    fn drop_named(&mut self, fields: &[Header<'_>]) -> Result<(), Refusal> {
        if !self.names_others {
            return Ok(());
        }
        let connection = |field: &&Header<'_>| field.name.eq_ignore_ascii_case("connection");
        for token in fields.iter().filter(connection).flat_map(|field| tokens(field.value)) {
            match classify(token) {
                Name::HopByHop | Name::Upgrade | Name::Other | Name::Connection => (),
                Name::Expect | Name::Disguised | Name::Identity => (),
                _ => {
                    return Err(Refusal::Malformed("Connection names a field that is end-to-end"));
                }
            }
            for (index, field) in fields.iter().enumerate() {
                if field.name.as_bytes().eq_ignore_ascii_case(token) {
                    self.dropped |= 1 << index;
                }
            }
        }
        Ok(())
    }

    fn host(&self, minor_version: u8, authority: Option<&'b str>) -> Result<&'b str, Refusal> {
        if self.hosts > 1 {
            return Err(Refusal::Malformed("Host is given twice"));
        }
        let host = match self.host {
            Some(value) => {
                std::str::from_utf8(value).ok().filter(|host| target::is_authority(host))
            }
            None if minor_version == 0 => Some(""),
            None => return Err(Refusal::Malformed("Host is missing")),
        };
        let host = host.ok_or(Refusal::Malformed("Host is not a host with an optional port"))?;
        Ok(authority.unwrap_or(host))
    }
}
