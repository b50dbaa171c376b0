//! Mends the `:authority` of HTTP/2 clients that send a URL there.
//!
//! etcd's client for Go connects to a member at the URL that the list of members shows, and names
//! the whole of it as the authority (`http://127.0.0.1:2379`) in calls that are for one member:
//! status, defragmentation, hashes, snapshots. gRPC for Go takes that; the parser of `h2` ends the
//! stream with PROTOCOL_ERROR, since RFC 9113 (8.3.1) has no scheme there. Nothing here depends on
//! the authority of such a client, so that it is replaced. Browsers never send one.
//!
//! Only the first head of a connection is looked at: the client's next ones refer to the value
//! through HPACK's table, where the mended one is by then. A table whose entries are shorter than
//! the client counts drops them later, never earlier, so that all its references hold.

use super::GREETING;

/// Bytes before a frame's payload: length, type, flags, stream (RFC 9113, 4.1).
const FRAME_HEAD: usize = 9;
/// The largest payload, since nobody is told of more.
const MOST: usize = 16_384;
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// `:authority` in HPACK's static table (RFC 7541, appendix A).
const AUTHORITY: usize = 1;
/// What stands there then: a length, and a name for this machine.
const MENDED: &[u8] = b"\x09localhost";
/// How URLs begin, as bytes; and in HPACK's code (RFC 7541, appendix B), of whose last byte some
/// bits count.
const PLAIN: [&[u8]; 2] = [b"http://", b"https://"];
const CODED: [([u8; 6], u8); 2] =
    [([0x9d, 0x29, 0xae, 0xe3, 0x0c, 0x00], 0x80), ([0x9d, 0x29, 0xad, 0x17, 0x18, 0x60], 0xfc)];

/// What comes on a connection until its first head is whole.
#[derive(Debug, Default)]
pub(super) struct FirstHead {
    held: Vec<u8>,
    is_greeted: bool,
    is_over: bool,
}

impl FirstHead {
    /// Whether the rest goes on as it comes.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes what came next; what may go on by now. Less than a frame is held.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(self.held.len());
        if !self.is_greeted {
            if GREETING.starts_with(&self.held) && self.held.len() < GREETING.len() {
                return out;
            }
            if !self.held.starts_with(GREETING) {
                return self.rest();
            }
            self.is_greeted = true;
            out.extend(self.held.drain(..GREETING.len()));
        }
        while let Some(head) = self.held.first_chunk::<FRAME_HEAD>().copied() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if length > MOST {
                // The server has its own words for that.
                break;
            }
            if self.held.len() < FRAME_HEAD + length {
                return out;
            }
            let mut frame: Vec<_> = self.held.drain(..FRAME_HEAD + length).collect();
            if head[3] != HEADERS {
                out.append(&mut frame);
                continue;
            }
            mend_frame(&mut frame);
            out.append(&mut frame);
            self.is_over = true;
            break;
        }
        if self.is_over || self.held.len() >= FRAME_HEAD {
            out.append(&mut self.rest());
        }
        out
    }

    /// What is held, which goes on as it is; there is nothing to wait for any more.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        self.is_over = true;
        std::mem::take(&mut self.held)
    }
}

/// All that goes on of a connection that comes in these pieces; for fuzzing.
#[cfg(any(feature = "fuzzing", test))]
pub(crate) fn passed_on<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut first = FirstHead::default();
    let mut out = Vec::new();
    for piece in pieces {
        match first.is_over() {
            true => out.extend_from_slice(piece),
            false => out.append(&mut first.take(piece)),
        }
    }
    out.append(&mut first.rest());
    out
}

/// Mends a frame of type HEADERS, if it needs to be.
fn mend_frame(frame: &mut Vec<u8>) {
    let flags = frame[4];
    let is_set = |flag: u8| flags & flag != 0;
    let padding = match is_set(PADDED) {
        true => frame.get(FRAME_HEAD).copied().unwrap_or_default().into(),
        false => 0_usize,
    };
    let begin = FRAME_HEAD + usize::from(is_set(PADDED)) + if is_set(PRIORITY) { 5 } else { 0 };
    let Some(end) = frame.len().checked_sub(padding).filter(|end| *end >= begin) else { return };
    let Some((from, to)) = url(&frame[begin..end]) else { return };
    frame.splice(begin + from..begin + to, MENDED.iter().copied());
    let length = (frame.len() - FRAME_HEAD).to_be_bytes();
    frame[..3].copy_from_slice(&length[length.len() - 3..]);
}

/// Where the value of `:authority` stands in a block of fields, its length before it, if it is a
/// URL (RFC 7541, 6).
fn url(block: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while let Some(first) = block.get(at).copied() {
        let (prefix, is_literal) = match first {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let name = number(block, &mut at, prefix)?;
        if !is_literal {
            continue;
        }
        if name == 0 {
            text(block, &mut at)?;
        }
        let from = at;
        let (bytes, is_coded) = text(block, &mut at)?;
        if name == AUTHORITY {
            return begins_as_url(bytes, is_coded).then_some((from, at));
        }
    }
    None
}

fn begins_as_url(bytes: &[u8], is_coded: bool) -> bool {
    match is_coded {
        false => PLAIN.iter().any(|begin| bytes.starts_with(begin)),
        true => CODED.iter().any(|(begin, mask)| {
            bytes
                .first_chunk::<6>()
                .is_some_and(|bytes| bytes[..5] == begin[..5] && bytes[5] & mask == begin[5])
        }),
    }
}

/// An integer of HPACK (RFC 7541, 5.1) whose first byte has so many bits for it.
fn number(block: &[u8], at: &mut usize, prefix: u32) -> Option<usize> {
    let most = (1 << prefix) - 1;
    let mut value = usize::from(*block.get(*at)?) & most;
    *at += 1;
    if value < most {
        return Some(value);
    }
    // Three more bytes are more than a frame has place for.
    for shift in [0, 7, 14] {
        let byte = usize::from(*block.get(*at)?);
        *at += 1;
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A string of HPACK (RFC 7541, 5.2), and whether it is in the code.
fn text<'a>(block: &'a [u8], at: &mut usize) -> Option<(&'a [u8], bool)> {
    let is_coded = block.get(*at)? & 0x80 != 0;
    let length = number(block, at, 7)?;
    let bytes = block.get(*at..*at + length)?;
    *at += length;
    Some((bytes, is_coded))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// POST, http, and the path in the code, as Go's gRPC begins a head.
    const BEFORE: &[u8] = b"\x83\x86\x45\x02\x60\xff";
    const AFTER: &[u8] = b"\x5f\x10application/grpc\x40\x02te\x08trailers";
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

    fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[HEADERS, flags, 0, 0, 0, 1], payload].concat()
    }

    /// A head whose authority is this string of HPACK.
    fn head(authority: &[u8]) -> Vec<u8> {
        frame(4, &[BEFORE, b"\x41", authority, AFTER].concat())
    }

    fn through(pieces: &[&[u8]]) -> Vec<u8> {
        passed_on(pieces.iter().copied())
    }

    #[test]
    fn a_url_in_place_of_an_authority_is_mended() {
        let plain = [&b"\x15"[..], b"http://127.0.0.1:2379"].concat();
        // http:// and a 1; https://www.example.com (RFC 7541, C.6.1).
        let http = b"\x86\x9d\x29\xae\xe3\x0c\x0f";
        let https = b"\x91\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3";
        for authority in [&plain[..], http, https] {
            for padded in [false, true] {
                let with = |authority: &[u8]| match padded {
                    false => [GREETING, SETTINGS, &head(authority), b"next"].concat(),
                    true => {
                        let block: [&[u8]; 5] =
                            [b"\x02\0\0\0\0\x10", BEFORE, b"\x41", authority, b"\0\0"];
                        [GREETING, SETTINGS, &frame(0x2c, &block.concat()), b"next"].concat()
                    }
                };
                assert_eq!(through(&[&with(authority)]), with(MENDED), "{authority:?}");
            }
        }
    }

    #[test]
    fn what_is_an_authority_and_what_is_no_http2_stays_as_it_is() {
        let http1 = b"PUT /v1/kv/a HTTP/1.1\r\nHost: http://a\r\n\r\n";
        let usual = [GREETING, &head(b"\x0elocalhost:2379")].concat();
        let coded = [GREETING, &head(b"\x86\x9d\x29\xae\xe3\x0c\x8f")].concat();
        let too_long = [GREETING, b"\x7f\0\0\x01\x04\0\0\0\x01rest of it"].concat();
        for bytes in [&http1[..], &usual, &coded, &too_long, b"PRI * HTTP/2.0\r\n", b""] {
            assert_eq!(through(&[bytes]), bytes);
        }
    }

    #[test]
    fn frames_before_the_head_are_not_held() {
        let mut first = FirstHead::default();
        assert_eq!(first.take(&GREETING[..5]), b"");
        assert_eq!(first.take(&[&GREETING[5..], SETTINGS].concat()), [GREETING, SETTINGS].concat());
        assert_eq!(first.take(&head(MENDED)[..20]), b"");
        assert_eq!(first.take(&head(MENDED)[20..]), head(MENDED));
        assert!(first.is_over());
    }

    proptest! {
        #[test]
        fn it_is_the_same_in_many_pieces(cuts in prop::collection::vec(1_usize..40, 1..40)) {
            let url = [&b"\x15"[..], b"http://127.0.0.1:2379"].concat();
            let bytes = [GREETING, SETTINGS, SETTINGS, &head(&url), b"what comes next"].concat();
            let (mut pieces, mut left) = (Vec::new(), &bytes[..]);
            for cut in cuts {
                let (piece, rest) = left.split_at(cut.min(left.len()));
                pieces.push(piece);
                left = rest;
            }
            pieces.push(left);
            prop_assert_eq!(through(&pieces), through(&[&bytes]));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>, flags: u8) {
            through(&[GREETING, &bytes]);
            let head = [GREETING, &frame(flags, &bytes)].concat();
            let _any = through(&[&head]);
        }
    }
}
