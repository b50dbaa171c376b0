//! How long a message's body is (RFC 9112, section 6), read strictly.

use super::Refusal;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// After this many bytes; 0 is a body of no bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// When the connection closes; responses only.
    UntilClose,
}

/// What the framing fields of one message said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Framing {
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    /// Takes a `Content-Length`. A second one is refused even when it says the same: whoever made
    /// the message did not know its length.
    pub(crate) fn content_length(&mut self, value: &[u8]) -> Result<(), &'static str> {
        let length = parse_length(value).ok_or("Content-Length is not one whole number")?;
        match self.length.replace(length) {
            None => Ok(()),
            Some(_) => Err("Content-Length is given twice"),
        }
    }

    /// Takes a `Transfer-Encoding`; only `chunked` alone is understood.
    pub(crate) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), &'static str> {
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err("Transfer-Encoding is not `chunked` alone");
        }
        if std::mem::replace(&mut self.chunked, true) {
            return Err("Transfer-Encoding is given twice");
        }
        Ok(())
    }

    /// The body of a request.
    pub(crate) fn of_request(self, minor_version: u8) -> Result<Body, Refusal> {
        match (self.length, self.chunked) {
            (Some(_), true) => {
                Err(Refusal::Malformed("Content-Length and Transfer-Encoding exclude each other"))
            }
            (None, true) if minor_version == 0 => {
                Err(Refusal::Malformed("HTTP/1.0 has no Transfer-Encoding"))
            }
            (None, true) => Ok(Body::Chunked),
            (Some(length), false) => Ok(Body::Length(length)),
            (None, false) => Ok(Body::None),
        }
    }

    /// The body of a response, which the request's method and the status decide first.
    pub(crate) fn of_response(
        self,
        minor_version: u8,
        status: u16,
        to_head: bool,
    ) -> Result<Body, &'static str> {
        if self.chunked && (self.length.is_some() || minor_version == 0) {
            return Err("framing of the response is ambiguous");
        }
        if to_head || status < 200 || status == 204 || status == 304 {
            return Ok(Body::None);
        }
        Ok(match self.length {
            _ if self.chunked => Body::Chunked,
            Some(length) => Body::Length(length),
            None => Body::UntilClose,
        })
    }

    /// The length that was given, for responses whose body is not sent (HEAD, 304).
    pub(crate) fn length(self) -> Option<u64> {
        self.length
    }
}

/// Digits only, at most 19 of them: no sign, no list, nothing that overflows.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lengths(values: &[&str]) -> Result<Framing, &'static str> {
        let mut framing = Framing::default();
        for value in values {
            framing.content_length(value.as_bytes())?;
        }
        Ok(framing)
    }

    fn chunked() -> Framing {
        Framing { length: None, chunked: true }
    }

    #[test]
    fn a_length_is_digits_only_and_given_once() {
        assert_eq!(lengths(&["42"]).unwrap().length(), Some(42));
        for value in ["", "+1", "-1", "1,1", "1 1", "0x10", "1.0", "99999999999999999999", "٣"] {
            assert!(lengths(&[value]).is_err(), "{value}");
        }
        assert!(lengths(&["5", "5"]).is_err());
        assert!(lengths(&["5", "6"]).is_err());
    }

    #[test]
    fn only_chunked_alone_is_a_transfer_coding() {
        for value in
            ["gzip", "chunked, gzip", "gzip, chunked", "xchunked", "chunked,", "", "\x0bchunked"]
        {
            assert!(Framing::default().transfer_encoding(value.as_bytes()).is_err(), "{value:?}");
        }
        let mut framing = Framing::default();
        framing.transfer_encoding(b"CHUNKED").unwrap();
        assert!(framing.transfer_encoding(b"chunked").is_err());
    }

    #[test]
    fn a_request_with_two_framings_is_refused() {
        let both = Framing { length: Some(3), chunked: true };
        assert!(both.of_request(1).is_err());
        assert!(chunked().of_request(0).is_err());
        assert_eq!(chunked().of_request(1), Ok(Body::Chunked));
        assert_eq!(Framing::default().of_request(1), Ok(Body::None));
        assert_eq!(lengths(&["0"]).unwrap().of_request(1), Ok(Body::Length(0)));
    }

    #[test]
    fn the_status_and_the_method_decide_about_a_responses_body_first() {
        let ten = lengths(&["10"]).unwrap();
        for (status, to_head) in
            [(200, true), (204, false), (304, false), (100, false), (101, false)]
        {
            assert_eq!(ten.of_response(1, status, to_head), Ok(Body::None), "{status}");
        }
        assert_eq!(ten.of_response(1, 200, false), Ok(Body::Length(10)));
        assert_eq!(chunked().of_response(1, 200, false), Ok(Body::Chunked));
        assert_eq!(Framing::default().of_response(1, 200, false), Ok(Body::UntilClose));
    }

    #[test]
    fn a_response_with_two_framings_is_garbage() {
        let both = Framing { length: Some(3), chunked: true };
        assert!(both.of_response(1, 200, false).is_err());
        assert!(both.of_response(1, 204, false).is_err());
        assert!(chunked().of_response(0, 200, false).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_as_a_length_prints_as_it_was_written(value in "[0-9+, -]{1,21}") {
            if let Some(length) = parse_length(value.as_bytes()) {
                let digits = value.trim_start_matches('0');
                prop_assert_eq!(length.to_string(), if digits.is_empty() { "0" } else { digits });
            }
        }
    }
}
