//! A response's head as an upstream sent it.

use std::ops::Range;

use httparse::{Header, Status};

use super::Body;
use super::framing::Framing;
use super::name::{Name, classify, tokens};
use super::request::{Fields, MOST_FIELDS, check_line_ends, offset};

/// A response's head as places in the bytes it came in, so that it is parsed once and kept while it is
/// decided what becomes of it.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    /// Bytes of the head, the empty line included.
    pub(crate) length: usize,
    pub(crate) status: u16,
    pub(crate) reason: Range<usize>,
    pub(crate) lines: Lines,
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
    /// Whether it names a protocol that the connection is upgraded to.
    pub(crate) upgrades: bool,
    pub(crate) has_request_id: bool,
    pub(crate) has_date: bool,
}

/// Where the fields of a head begin, in order.
#[derive(Debug)]
pub(crate) struct Lines {
    starts: [u16; MOST_FIELDS],
    count: usize,
}

impl Lines {
    /// None for a head past 64 KiB.
    fn of(bytes: &[u8], fields: &[Header<'_>]) -> Option<Self> {
        let mut starts = [0; MOST_FIELDS];
        for (start, field) in starts.iter_mut().zip(fields) {
            *start = u16::try_from(offset(bytes, field.name.as_ptr())).ok()?;
        }
        Some(Self { starts, count: fields.len() })
    }

    pub(crate) fn starts(&self) -> impl ExactSizeIterator<Item = usize> {
        self.starts[..self.count].iter().map(|start| usize::from(*start))
    }
}

/// Parses a response's head, which is at most 64 KiB long; none when more bytes are needed. The fields
/// come beside it, for whoever looks at them now.
///
/// # Errors
///
/// What is wrong with it; the answer to the client is 502.
pub(crate) fn parse_response<'b>(
    bytes: &'b [u8],
    fields: &'b mut Fields<'b>,
    to_head: bool,
) -> Result<Option<(ResponseHead, &'b [Header<'b>])>, &'static str> {
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
    let reason = match reason {
        "" => 0..0,
        reason => {
            let start = offset(bytes, reason.as_ptr());
            start..start + reason.len()
        }
    };
    let minor_version = response.version.unwrap_or(1);
    let fields: &'b [Header<'b>] = response.headers;
    if !(100..=599).contains(&status) {
        return Err("the response's status is out of range");
    }
    let line = bytes.iter().position(|byte| *byte == b'\r').unwrap_or(length);
    check_line_ends(bytes, length, line, fields).map_err(|_| "a line ends with LF alone")?;

    let mut framing = Framing::default();
    let (mut close, mut persist, mut upgrades) = (false, false, false);
    let (mut names_protocol, mut has_request_id, mut has_date) = (false, false, false);
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
            Name::Upgrade => names_protocol = true,
            Name::RequestId => {
                has_request_id = true;
                continue;
            }
            Name::Date => {
                has_date = true;
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
    let lines = Lines::of(bytes, fields).ok_or("the response's head is too long")?;
    let head = ResponseHead {
        length,
        status,
        reason,
        lines,
        body,
        promised_length: framing.length().filter(|_| to_head || status == 304),
        keep_alive,
        dropped,
        rate_fields,
        upgrades: upgrades && names_protocol,
        has_request_id,
        has_date,
    };
    Ok(Some((head, fields)))
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
        look: impl FnOnce(&ResponseHead) -> T,
    ) -> Result<T, &'static str> {
        let mut fields = Fields::default();
        let (head, _) =
            parse_response(text.as_bytes(), &mut fields, to_head)?.expect("is complete");
        Ok(look(&head))
    }

    #[test]
    fn drops_what_belongs_to_the_upstream_connection() {
        let text = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n\
                    Content-Length: 3\r\n\r\n";
        let (dropped, body) = parse(text, false, |head| (head.dropped, head.body)).unwrap();
        assert_eq!((dropped, body), (0b1011, Body::Length(3)));
    }

    #[test]
    fn says_where_its_parts_are() {
        let text = "HTTP/1.1 404 Not Found\r\nA: 1\r\nBc: 2\r\n\r\nbody";
        let (reason, starts) = parse(text, false, |head| {
            (head.reason.clone(), head.lines.starts().collect::<Vec<_>>())
        })
        .unwrap();
        assert_eq!(&text[reason], "Not Found");
        assert_eq!(starts.iter().map(|at| &text[*at..*at + 2]).collect::<Vec<_>>(), ["A:", "Bc"]);
        let bare = parse("HTTP/1.1 200\r\n\r\n", false, |head| head.reason.clone()).unwrap();
        assert!(bare.is_empty());
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
