//! W3C Trace Context: the ids a request carries over every hop.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What `traceparent` and `tracestate` say (W3C Trace Context, level 1, sections 3.2 and 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    /// Whether the caller may have recorded its part.
    pub sampled: bool,
    /// The vendors' part, passed on as it came; at most 512 bytes.
    pub state: Option<Arc<str>>,
}

/// The text is not a `traceparent`; the request begins a trace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent; want 00-<32 hex digits>-<16 hex digits>-<2 hex digits>")]
pub struct InvalidTrace;

impl TraceContext {
    /// The length of a version 00 `traceparent`, in bytes.
    pub const LENGTH: usize = 55;

    /// A context of these ids; none when one of them is all zero.
    pub fn try_new(trace_id: u128, span_id: u64, sampled: bool) -> Option<Self> {
        let (trace_id_bytes, span_id_bytes) = (trace_id.to_be_bytes(), span_id.to_be_bytes());
        (trace_id != 0 && span_id != 0).then_some(Self {
            trace_id: trace_id_bytes,
            span_id: span_id_bytes,
            sampled,
            state: None,
        })
    }

    /// The same trace, seen from a new span; a span id of zero becomes one.
    #[must_use]
    pub fn child(&self, span_id: u64) -> Self {
        Self { span_id: span_id.max(1).to_be_bytes(), ..self.clone() }
    }

    /// The same context with the vendors' part; more than 512 bytes are dropped whole.
    #[must_use]
    pub fn with_state(mut self, state: &str) -> Self {
        self.state = (!state.is_empty() && state.len() <= 512).then(|| state.into());
        self
    }

    /// The trace's id.
    pub fn trace_id(&self) -> u128 {
        u128::from_be_bytes(self.trace_id)
    }

    /// The span's id.
    pub fn span_id(&self) -> u64 {
        u64::from_be_bytes(self.span_id)
    }

    /// The trace's id as 32 hex digits, as logs and problems print it.
    pub fn trace_id_hex(&self) -> String {
        format!("{:032x}", self.trace_id())
    }

    /// Writes the `traceparent` without allocating.
    pub fn write_to(&self, out: &mut [u8; Self::LENGTH]) {
        out.copy_from_slice(b"00-00000000000000000000000000000000-0000000000000000-00");
        write_hex(&self.trace_id, &mut out[3..35]);
        write_hex(&self.span_id, &mut out[36..52]);
        out[54] = b'0' + u8::from(self.sampled);
    }

    /// Reads a `traceparent` from a header's bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidTrace`] when it is malformed; the caller starts a trace of its own.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidTrace> {
        if bytes.len() < Self::LENGTH {
            return Err(InvalidTrace);
        }
        let version = hex::<1>(&bytes[0..2])?[0];
        // A later version may append fields behind a dash; version 00 may not, 255 is forbidden.
        let tail_is_valid = match version {
            0 => bytes.len() == Self::LENGTH,
            255 => false,
            _ => bytes.len() == Self::LENGTH || bytes[Self::LENGTH] == b'-',
        };
        if !tail_is_valid || bytes[2] != b'-' || bytes[35] != b'-' || bytes[52] != b'-' {
            return Err(InvalidTrace);
        }
        let (trace_id, span_id) = (hex::<16>(&bytes[3..35])?, hex::<8>(&bytes[36..52])?);
        let sampled = hex::<1>(&bytes[53..55])?[0] & 1 == 1;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return Err(InvalidTrace);
        }
        Ok(Self { trace_id, span_id, sampled, state: None })
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTrace;

    fn from_str(text: &str) -> Result<Self, InvalidTrace> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; Self::LENGTH];
        self.write_to(&mut bytes);
        bytes.iter().try_for_each(|byte| fmt::Write::write_char(f, char::from(*byte)))
    }
}

fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn hex<const N: usize>(digits: &[u8]) -> Result<[u8; N], InvalidTrace> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        // Upper case is malformed by the standard.
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(InvalidTrace),
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_the_standards_example() {
        let trace: TraceContext = VALID.parse().unwrap();
        assert_eq!(trace.trace_id_hex(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.span_id(), 0x00f0_67aa_0ba9_02b7);
        assert!(trace.sampled);
        assert_eq!(trace.to_string(), VALID);
    }

    #[test]
    fn refuses_what_the_standard_refuses() {
        let zero_trace = VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = VALID.replace("00f067aa0ba902b7", &"0".repeat(16));
        let longer = format!("{VALID}-00");
        let upper = VALID.to_uppercase();
        let forbidden = VALID.replacen("00", "ff", 1);
        for text in ["", &VALID[1..], &zero_trace, &zero_span, &longer, &upper, &forbidden] {
            assert_eq!(text.parse::<TraceContext>(), Err(InvalidTrace), "{text}");
        }
    }

    #[test]
    fn a_later_version_may_be_longer() {
        let later = format!("{}-more", VALID.replacen("00", "01", 1));
        assert!(later.parse::<TraceContext>().is_ok());
        assert!(later.replace("-more", "more").parse::<TraceContext>().is_err());
    }

    #[test]
    fn only_the_lowest_flag_means_sampled() {
        let with = |flags: &str| format!("{}{flags}", &VALID[..53]).parse::<TraceContext>();
        assert!(!with("00").unwrap().sampled);
        assert!(!with("02").unwrap().sampled);
        assert!(with("03").unwrap().sampled);
    }

    #[test]
    fn a_child_keeps_the_trace_and_the_state() {
        let trace = VALID.parse::<TraceContext>().unwrap().with_state("vendor=1");
        let child = trace.child(7);
        assert_eq!((child.trace_id(), child.span_id()), (trace.trace_id(), 7));
        assert_eq!(child.state.as_deref(), Some("vendor=1"));
        assert_eq!(trace.child(0).span_id(), 1);
        assert_eq!(trace.with_state(&"x".repeat(513)).state, None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let context = TraceContext::try_new(trace, span, sampled).unwrap();
            prop_assert_eq!(context.to_string().parse::<TraceContext>().unwrap(), context);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = TraceContext::parse(&bytes);
        }
    }
}
