//! A response's head as an upstream sent it.

use httparse::{Header, Status};

use super::Body;
use super::framing::Framing;
use super::name::{Name, classify, tokens};
use super::request::{Fields, check_line_ends};

/// A response's head, borrowed from the bytes it came in.
#[derive(Debug)]
pub(crate) struct ResponseHead<'b> {
    /// Bytes of the head, the empty line included.
    pub(crate) length: usize,
    pub(crate) status: u16,
    pub(crate) reason: &'b str,
    pub(crate) fields: &'b [Header<'b>],
    /// How the body ends.
    pub(crate) body: Body,
    /// The `Content-Length` of a body that is not sent (HEAD, 304).
    pub(crate) promised_length: Option<u64>,
    /// Whether the upstream connection may serve another request.
    pub(crate) keep_alive: bool,
    /// A set bit for each field that is not passed on.
    pub(crate) dropped: u128,
    /// A set bit for each field about the caller's limit, which the gateway's own replace.
    pub(crate) rate_fields: u128,
    pub(crate) upgrade: Option<&'b [u8]>,
    pub(crate) has_request_id: bool,
}

/// Parses a response's head; none when more bytes are needed.
///
/// # Errors
///
/// What is wrong with it; the answer to the client is 502.
pub(crate) fn parse_response<'b>(
    bytes: &'b [u8],
    fields: &'b mut Fields<'b>,
    to_head: bool,
) -> Result<Option<ResponseHead<'b>>, &'static str> {
    if matches!(bytes.first(), Some(b'\r' | b'\n')) {
        return Err("the response begins with an empty line");
    }
    let mut response = httparse::Response::new(&mut []);
    let length = match httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut fields.0,
    ) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err("the response's head is malformed"),
    };
    let (status, reason) = (response.code.unwrap_or(0), response.reason.unwrap_or(""));
    let minor_version = response.version.unwrap_or(1);
    let fields: &'b [Header<'b>] = response.headers;
    if !(100..=599).contains(&status) {
        return Err("the response's status is out of range");
    }
    let line = bytes.iter().position(|byte| *byte == b'\r').unwrap_or(length);
    check_line_ends(bytes, length, line, fields).map_err(|_| "a line ends with LF alone")?;

    let mut framing = Framing::default();
    let (mut close, mut persist, mut upgrades) = (false, false, false);
    let (mut upgrade, mut has_request_id) = (None, false);
    let (mut dropped, mut rate_fields) = (0_u128, 0_u128);
    for (index, field) in fields.iter().enumerate() {
        match classify(field.name.as_bytes()) {
            Name::ContentLength => framing.content_length(field.value)?,
            Name::TransferEncoding => framing.transfer_encoding(field.value)?,
            Name::Connection => {
                for token in tokens(field.value) {
                    match token {
                        token if token.eq_ignore_ascii_case(b"close") => close = true,
                        token if token.eq_ignore_ascii_case(b"keep-alive") => persist = true,
                        token if token.eq_ignore_ascii_case(b"upgrade") => upgrades = true,
                        token => dropped |= named(fields, token),
                    }
                }
            }
            Name::Upgrade => upgrade = Some(field.value),
            Name::RequestId => {
                has_request_id = true;
                continue;
            }
            Name::RateLimit => {
                rate_fields |= 1 << index;
                continue;
            }
            Name::HopByHop => (),
            _ => continue,
        }
        dropped |= 1 << index;
    }
    let body = framing.of_response(minor_version, status, to_head)?;
    let keep_alive = !close && body != Body::UntilClose && (minor_version == 1 || persist);
    Ok(Some(ResponseHead {
        length,
        status,
        reason,
        fields,
        body,
        promised_length: framing.length().filter(|_| to_head || status == 304),
        keep_alive,
        dropped,
        rate_fields,
        upgrade: upgrade.filter(|_| upgrades),
        has_request_id,
    }))
}

fn named(fields: &[Header<'_>], token: &[u8]) -> u128 {
    let is_named =
        |(_, field): &(usize, &Header<'_>)| field.name.as_bytes().eq_ignore_ascii_case(token);
    fields.iter().enumerate().filter(is_named).fold(0, |bits, (index, _)| bits | 1 << index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T>(
        text: &str,
        to_head: bool,
        look: impl FnOnce(&ResponseHead<'_>) -> T,
    ) -> Result<T, &'static str> {
        let mut fields = Fields::default();
        let head = parse_response(text.as_bytes(), &mut fields, to_head)?;
        Ok(look(&head.expect("is complete")))
    }

    #[test]
    fn drops_what_belongs_to_the_upstream_connection() {
        let text = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n\
                    Content-Length: 3\r\n\r\n";
        let (dropped, body) = parse(text, false, |head| (head.dropped, head.body)).unwrap();
        assert_eq!((dropped, body), (0b1011, Body::Length(3)));
    }

    #[test]
    fn garbage_is_told_from_an_answer() {
        for text in [
            "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            "HTTP/1.1 99 X\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "\r\n",
            "HTTP/1.1 700 X\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        ] {
            assert!(parse(text, false, |_| ()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_connection_is_kept_only_when_both_ends_know_where_the_body_ends() {
        let keep = |text: &str| parse(text, false, |head| head.keep_alive).unwrap();
        assert!(keep("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(!keep("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!keep("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
        assert!(!keep("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(keep("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"));
    }

    #[test]
    fn a_head_answer_keeps_the_length_it_promises() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
        let found = parse(text, true, |head| (head.body, head.promised_length)).unwrap();
        assert_eq!(found, (Body::None, Some(10)));
    }
}
