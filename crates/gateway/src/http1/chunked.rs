//! Chunked bodies (RFC 9112, section 7.1), read strictly and framed anew.

/// Bytes of chunk extensions in one size line; they are dropped, so nobody needs more.
const MOST_EXTENSION: u16 = 256;

/// Bytes of a trailer section.
const MOST_TRAILERS: usize = 8 * 1024;

/// How decoded data is written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// As chunks of our own, ended by [`finish`].
    Chunks,
    /// As it is, for a receiver that takes no chunks.
    Plain,
}

/// A chunked body that breaks the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk(pub &'static str);

/// Reads a chunked body piece by piece. Extensions are dropped, trailers are kept for the end.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// Bytes of the present chunk still to come; while reading a size, the size so far.
    left: u64,
    digits: u8,
    extension: u16,
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// In the trailer section, whose lines end with CRLF; an empty one ends the body.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

impl Default for Decoder {
    fn default() -> Self {
        let trailers = Vec::new();
        Self { state: State::Size, left: 0, digits: 0, extension: 0, trailers }
    }
}

impl Decoder {
    /// Takes what it can of `input`, appends the data to `out` and says how much it took.
    ///
    /// Everything is taken until the body is over ([`Decoder::is_done`]); what follows belongs to
    /// the next message.
    ///
    /// # Errors
    ///
    /// [`BadChunk`] at the first byte that breaks the grammar.
    pub fn feed(
        &mut self,
        input: &[u8],
        output: Output,
        out: &mut Vec<u8>,
    ) -> Result<usize, BadChunk> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
                append(output, &input[at..at + take], out);
                self.left -= take as u64;
                at += take;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.state = self.step(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    /// Whether the last chunk and the trailers were read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailer section as it came, each line with its CRLF, without the empty last one.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    fn step(&mut self, byte: u8) -> Result<State, BadChunk> {
        Ok(match (self.state, byte) {
            (State::Size, _) => return self.size(byte),
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, byte) => {
                self.extension += 1;
                if self.extension > MOST_EXTENSION {
                    return Err(BadChunk("chunk extensions are too long"));
                }
                if is_control(byte) {
                    return Err(BadChunk("a chunk extension has a control character"));
                }
                State::Extension
            }
            (State::SizeLf, b'\n') if self.left == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => State::Data,
            (State::SizeLf, _) => return Err(BadChunk("a chunk size does not end with CRLF")),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                (self.left, self.digits, self.extension) = (0, 0, 0);
                State::Size
            }
            (State::DataCr | State::DataLf, _) => {
                return Err(BadChunk("a chunk is longer than its size"));
            }
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::Trailer, byte) => return self.trailer(byte),
            (State::TrailerLf, b'\n') => {
                self.trailers.extend_from_slice(b"\r\n");
                State::TrailerStart
            }
            (State::EndLf, b'\n') => State::Done,
            (State::TrailerLf | State::EndLf, _) => {
                return Err(BadChunk("a trailer line does not end with CRLF"));
            }
            (State::Data | State::Done, _) => self.state,
        })
    }

    fn size(&mut self, byte: u8) -> Result<State, BadChunk> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => return Ok(State::SizeLf),
            b';' if self.digits > 0 => return Ok(State::Extension),
            _ => return Err(BadChunk("a chunk size is not a hexadecimal number")),
        };
        self.digits += 1;
        // Fifteen digits are an exbibyte; a sixteenth could overflow.
        if self.digits > 15 {
            return Err(BadChunk("a chunk size is too large"));
        }
        self.left = self.left << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn trailer(&mut self, byte: u8) -> Result<State, BadChunk> {
        if byte == b'\r' {
            return Ok(State::TrailerLf);
        }
        if byte != b'\t' && is_control(byte) {
            return Err(BadChunk("a trailer has a control character"));
        }
        if self.trailers.len() >= MOST_TRAILERS {
            return Err(BadChunk("the trailers are too long"));
        }
        self.trailers.push(byte);
        Ok(State::Trailer)
    }
}

/// Appends data in the form the receiver takes.
pub fn append(output: Output, data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        // A chunk of no bytes would end the body.
        return;
    }
    if output == Output::Plain {
        out.extend_from_slice(data);
        return;
    }
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut length = data.len();
    while length > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[length & 15];
        length >>= 4;
    }
    out.reserve(data.len() + 20);
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Ends a body of chunks, with those of the trailers that may be passed on (RFC 9110, section
/// 6.5.1: nothing that frames, routes or authenticates).
///
/// # Errors
///
/// [`BadChunk`] when the trailers are not header fields.
pub fn finish(trailers: &[u8], out: &mut Vec<u8>) -> Result<(), BadChunk> {
    out.extend_from_slice(b"0\r\n");
    if !trailers.is_empty() {
        // The parser wants the empty line that ends a section.
        let mut section = Vec::with_capacity(trailers.len() + 2);
        section.extend_from_slice(trailers);
        section.extend_from_slice(b"\r\n");
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let Ok(httparse::Status::Complete((_, fields))) =
            httparse::parse_headers(&section, &mut fields)
        else {
            return Err(BadChunk("the trailers are not header fields"));
        };
        for field in fields.iter().filter(|field| may_trail(field.name)) {
            out.extend_from_slice(field.name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value);
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn may_trail(name: &str) -> bool {
    use super::name::{Name, classify};
    matches!(classify(name.as_bytes()), Name::Other | Name::Date)
        && !["cache-control", "set-cookie", "content-encoding", "content-range", "location"]
            .iter()
            .any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(input: &[u8]) -> Result<(Vec<u8>, usize, bool), BadChunk> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        let taken = decoder.feed(input, Output::Plain, &mut out)?;
        Ok((out, taken, decoder.is_done()))
    }

    #[test]
    fn reads_chunks_and_stops_at_the_end_of_the_body() {
        let input = b"4\r\nwiki\r\nA;name=value\r\n0123456789\r\n0\r\n\r\nGET /";
        let (data, taken, done) = decode(input).unwrap();
        assert_eq!((data.as_slice(), taken, done), (&b"wiki0123456789"[..], input.len() - 5, true));
    }

    #[test]
    fn refuses_what_another_server_could_read_differently() {
        for input in [
            "\r\n",
            "g\r\n",
            "0x4\r\n",
            "-1\r\n",
            "+1\r\n",
            " 4\r\nwiki",
            "4 \r\nwiki",
            "4\nwiki",
            "4\rwiki",
            "4\r\nwikis\r\n",
            "4\r\nwiki\n",
            "4;a\nb\r\nwiki",
            "4;a\rb",
            ";a\r\n",
            "1000000000000000\r\n",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
            "0\r\n\rX",
            "4;\0\r\n",
            "4,4\r\n",
        ] {
            assert!(decode(input.as_bytes()).is_err(), "{input:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let long = format!("4;{}\r\n", "a".repeat(257));
        assert!(decode(long.as_bytes()).is_err());
        let long = format!("0\r\nA: {}\r\n\r\n", "a".repeat(9000));
        assert!(decode(long.as_bytes()).is_err());
    }

    #[test]
    fn trailers_that_frame_or_authenticate_are_not_passed_on() {
        let mut decoder = Decoder::default();
        let input = b"0\r\nDigest: abc\r\nContent-Length: 5\r\nX-User-Id: 1\r\n\r\n";
        decoder.feed(input, Output::Plain, &mut Vec::new()).unwrap();
        let mut out = Vec::new();
        finish(decoder.trailers(), &mut out).unwrap();
        assert_eq!(out, b"0\r\nDigest: abc\r\n\r\n");
        assert!(finish(b"no colon\r\n", &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_in_chunks_reads_back_in_any_pieces(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
            cut in 1_usize..50,
        ) {
            let mut wire = Vec::new();
            for piece in &pieces {
                append(Output::Chunks, piece, &mut wire);
            }
            finish(b"", &mut wire).unwrap();
            wire.extend_from_slice(b"next");
            let (mut decoder, mut out, mut taken) = (Decoder::default(), Vec::new(), 0);
            for part in wire.chunks(cut) {
                taken += decoder.feed(part, Output::Plain, &mut out).unwrap();
            }
            prop_assert!(decoder.is_done());
            prop_assert_eq!(taken, wire.len() - 4);
            prop_assert_eq!(out, pieces.concat());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic_and_alike_in_any_pieces(
            input: Vec<u8>, cut in 1_usize..9,
        ) {
            let whole = decode(&input);
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            let mut pieces = Ok(0);
            for part in input.chunks(cut) {
                match decoder.feed(part, Output::Plain, &mut out) {
                    Ok(taken) => pieces = pieces.map(|sum| sum + taken),
                    Err(error) => { pieces = Err(error); break }
                }
            }
            prop_assert_eq!(whole.map(|(_, taken, _)| taken), pieces);
        }
    }
}
