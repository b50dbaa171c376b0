//! `google.rpc.RetryInfo`: when a gRPC client may come back, in an answer's details.
//!
//! Of `grpc-status-details-bin`, a `google.rpc.Status`, only this one detail is written and read here;
//! that is a handful of bytes, and no generated code.
//!
//! # Source
//!
//! `google/rpc/status.proto`, `google/rpc/error_details.proto`; Protocol Buffers, "Encoding"; gRPC over
//! HTTP/2, "Binary-Valued Headers".

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use regatta_core::Code;

/// The name of the field that carries the details of a status.
pub const DETAILS: &str = "grpc-status-details-bin";

/// The name of the field that says when to repeat a call, in milliseconds; negative for never.
pub const PUSHBACK: &str = "grpc-retry-pushback-ms";

const TYPE: &[u8] = b"type.googleapis.com/google.rpc.RetryInfo";

/// Written without padding, read with or without.
const BASE64: GeneralPurpose = {
    let config = NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&STANDARD, config)
};

/// Longest details that are read, in bytes of the field: gRPC's own limit for all metadata of a call.
const LONGEST: usize = 8192;

/// A status with this detail, as bytes.
pub fn details(code: Code, message: &str, retry_after: Duration) -> Vec<u8> {
    let mut delay = Vec::new();
    // A Duration's seconds are signed: what is longer is as good as never.
    number(&mut delay, 1, retry_after.as_secs().min(i64::MAX as u64));
    number(&mut delay, 2, retry_after.subsec_nanos().into());
    let mut info = Vec::new();
    bytes(&mut info, 1, &delay);
    let mut any = Vec::new();
    bytes(&mut any, 1, TYPE);
    bytes(&mut any, 2, &info);
    let mut status = Vec::new();
    number(&mut status, 1, u64::from(code.grpc().unsigned_abs()));
    bytes(&mut status, 2, message.as_bytes());
    bytes(&mut status, 3, &any);
    status
}

/// The value of the field [`DETAILS`].
pub fn field(code: Code, message: &str, retry_after: Duration) -> String {
    BASE64.encode(details(code, message, retry_after))
}

/// How long the details in a field ask to wait; none when they do not say, or cannot be read.
pub fn read(field: &[u8]) -> Option<Duration> {
    if field.len() > LONGEST {
        return None;
    }
    let status = BASE64.decode(field).ok()?;
    let info = Fields(&status).filter(|(number, _)| *number == 3).find_map(|(_, any)| {
        let any = any.bytes()?;
        let of_type = find(any, 1)?.bytes()? == TYPE;
        of_type.then(|| find(any, 2)?.bytes())?
    })?;
    let delay = find(info, 1)?.bytes()?;
    // A number that is left out is 0; a negative one is beyond what is positive.
    let number = |which| find(delay, which).map_or(Some(0), |value| value.number());
    let (seconds, nanos) = (i64::try_from(number(1)?).ok()?, u32::try_from(number(2)?).ok()?);
    (nanos < 1_000_000_000).then(|| Duration::new(seconds.unsigned_abs(), nanos))
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field's value, as far as its encoding says what it is.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed length, which none of the fields has that are read here.
    Fixed,
}

impl<'a> Value<'a> {
    fn number(self) -> Option<u64> {
        if let Value::Number(number) = self { Some(number) } else { None }
    }

    fn bytes(self) -> Option<&'a [u8]> {
        if let Value::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

/// The fields of a message; ends at the first that is malformed.
#[derive(Debug)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

/// The value of a field; the last one counts where there are several.
fn find(message: &[u8], field: u64) -> Option<Value<'_>> {
    Fields(message).filter(|(number, _)| *number == field).last().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Google's own library writes it: `Status(code=14, message="busy", details=[RetryInfo 1.5 s])`.
    const GOOGLES: &str = "CA4SBGJ1c3kaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbx\
                           IKCggIARCAyrXuAQ==";

    #[test]
    fn what_others_write_is_read() {
        let expected = Some(Duration::from_millis(1500));
        assert_eq!(read(GOOGLES.as_bytes()), expected);
        assert_eq!(read(GOOGLES.trim_end_matches('=').as_bytes()), expected);
        let ours = field(Code::Unavailable, "busy", Duration::from_millis(1500));
        assert_eq!(ours, GOOGLES.trim_end_matches('='));
    }

    #[test]
    fn a_status_without_this_detail_says_nothing() {
        let other = b"type.googleapis.com/google.rpc.ErrorInfo";
        let mut any = Vec::new();
        bytes(&mut any, 1, other);
        bytes(&mut any, 2, &[0x0a, 2, 8, 1]);
        let mut status = Vec::new();
        number(&mut status, 1, 14);
        bytes(&mut status, 3, &any);
        assert_eq!(read(BASE64.encode(&status).as_bytes()), None);
        // Beside it, it is found.
        status.extend(details(Code::Unavailable, "", Duration::from_secs(3)));
        assert_eq!(read(BASE64.encode(&status).as_bytes()), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_negative_delay_or_none_says_nothing() {
        for delay in
            [&[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1][..], &[16, 0xff]]
        {
            let mut info = Vec::new();
            bytes(&mut info, 1, delay);
            for info in [&info[..], &[]] {
                let mut any = Vec::new();
                bytes(&mut any, 1, TYPE);
                bytes(&mut any, 2, info);
                let mut status = Vec::new();
                bytes(&mut status, 3, &any);
                let found = read(BASE64.encode(&status).as_bytes());
                assert!(found.is_none_or(|found| found.is_zero()), "{found:?}");
            }
        }
    }

    #[test]
    fn details_beyond_the_limit_of_metadata_are_not_read() {
        let delay = Duration::from_secs(3);
        let longest = |length| field(Code::Unavailable, &"x".repeat(length), delay);
        let within = (0..LONGEST).rev().find(|length| longest(*length).len() <= LONGEST).unwrap();
        assert_eq!(read(longest(within).as_bytes()), Some(delay));
        assert_eq!(read(longest(within + 1).as_bytes()), None);
    }

    #[test]
    fn a_delay_is_read_as_others_read_it() {
        let mut delay = Vec::new();
        let mut says = |field, value| {
            number(&mut delay, field, value);
            let (mut info, mut any, mut status) = (Vec::new(), Vec::new(), Vec::new());
            bytes(&mut info, 1, &delay);
            bytes(&mut any, 1, TYPE);
            bytes(&mut any, 2, &info);
            bytes(&mut status, 3, &any);
            read(BASE64.encode(&status).as_bytes())
        };
        assert_eq!(says(1, 5), Some(Duration::from_secs(5)));
        assert_eq!(says(1, 3), Some(Duration::from_secs(3)), "of several the last one counts");
        assert_eq!(says(2, 999_999_999), Some(Duration::new(3, 999_999_999)));
        assert_eq!(says(2, 1_000_000_000), None, "a second in nanoseconds is malformed");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(code in 1..=16, message: String, millis: u64) {
            let code = Code::from_grpc(code).unwrap();
            let delay = Duration::from_millis(millis);
            let field = field(code, &message, delay);
            prop_assert_eq!(read(field.as_bytes()), (field.len() <= LONGEST).then_some(delay));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, cut: usize) {
            _ = read(&bytes);
            _ = read(BASE64.encode(&bytes).as_bytes());
            let whole = details(Code::Unavailable, "busy", Duration::from_secs(1));
            _ = read(BASE64.encode(&whole[..cut % whole.len()]).as_bytes());
        }
    }
}
