//! Request ids and traces: passed on when they are well formed, else made.

use regatta_core::TraceContext;

/// The longest request id that is passed on, in bytes.
pub(crate) const MOST_REQUEST_ID: usize = 64;

/// A request id, held without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId {
    bytes: [u8; MOST_REQUEST_ID],
    length: u8,
}

impl RequestId {
    /// The client's id when it is 1 to 64 characters that no log or header can choke on, else one
    /// made of the random bits, 32 hexadecimal digits.
    pub(crate) fn echo_or_make(sent: Option<&[u8]>, random: impl FnOnce() -> u128) -> Self {
        let mut bytes = [0; MOST_REQUEST_ID];
        if let Some(sent) = sent.filter(|sent| is_valid(sent)) {
            bytes[..sent.len()].copy_from_slice(sent);
            return Self { bytes, length: sent.len() as u8 };
        }
        hex(random(), &mut bytes[..32]);
        Self { bytes, length: 32 }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only visible ASCII was let in.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

fn is_valid(id: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    (1..=MOST_REQUEST_ID).contains(&id.len()) && id.iter().all(allowed)
}

fn hex(value: u128, out: &mut [u8]) {
    for (index, digit) in out.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(value >> (124 - 4 * index) & 15) as usize];
    }
}

/// The trace of a request: its own when `traceparent` is valid, else a new, sampled one.
///
/// Without an exporter the gateway adds no span, so what it passes on is the caller's context
/// unchanged; with one, each try writes its own over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) header: [u8; TraceContext::LENGTH],
    /// Whether it came with the request; then its `tracestate` is passed on too.
    pub(crate) is_callers: bool,
}

impl Trace {
    pub(crate) fn pass_or_make(sent: Option<&[u8]>, random: impl FnOnce() -> (u128, u64)) -> Self {
        let mut header = [0; TraceContext::LENGTH];
        if let Some(Ok(trace)) = sent.map(TraceContext::parse) {
            trace.write_to(&mut header);
            return Self { header, is_callers: true };
        }
        let (trace_id, span_id) = random();
        if let Some(trace) = TraceContext::try_new(trace_id.max(1), span_id.max(1), true) {
            trace.write_to(&mut header);
        }
        Self { header, is_callers: false }
    }

    /// The trace id, 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> &str {
        std::str::from_utf8(&self.header[3..35]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_formed_id_is_echoed_and_any_other_replaced() {
        let id = |sent: &[u8]| RequestId::echo_or_make(Some(sent), || 7);
        assert_eq!(id(b"order-42/a.b:c").as_str(), "order-42/a.b:c");
        for sent in [&b""[..], b"a b", b"a\"b", b"{}", "\u{e4}".as_bytes(), &[b'a'; 65]] {
            assert_eq!(id(sent).as_str(), format!("{:032x}", 7));
        }
        assert_eq!(RequestId::echo_or_make(None, || u128::MAX).as_str(), "f".repeat(32));
    }

    #[test]
    fn a_valid_trace_is_passed_on_unchanged_and_any_other_begins_anew() {
        let valid = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = Trace::pass_or_make(Some(valid), || unreachable!("is valid"));
        assert_eq!((trace.header, trace.is_callers), (*valid, true));
        let made = Trace::pass_or_make(Some(b"00-junk"), || (0, 0));
        assert!(!made.is_callers);
        assert!(TraceContext::parse(&made.header).is_ok());
        assert_eq!(made.trace_id(), format!("{:032x}", 1));
    }
}
