//! Cuts a stream of bytes into lines.

/// Longest line; a longer one goes on in the next. 16 KiB holds any sensible log line.
const LONGEST: usize = 16 * 1024;

/// Cuts bytes into lines as they come; what follows the last line end waits for more.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// The lines that these bytes complete, without their ends.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' => lines.push(self.take()),
                _ => self.rest.push(byte),
            }
            if self.rest.len() >= LONGEST {
                lines.push(self.take());
            }
        }
        lines
    }

    /// What came after the last line end, at the end of the stream.
    pub(crate) fn finish(&mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let bytes = std::mem::take(&mut self.rest);
        String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(&bytes)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_may_come_in_pieces() {
        let mut splitter = Splitter::default();
        assert!(splitter.feed(b"hel").is_empty());
        assert_eq!(splitter.feed(b"lo\r\n\nwor"), ["hello", ""]);
        assert_eq!(splitter.finish().as_deref(), Some("wor"));
        assert_eq!(splitter.finish(), None);
    }

    #[test]
    fn a_line_without_end_is_cut_and_not_kept_for_ever() {
        let mut splitter = Splitter::default();
        let lines = splitter.feed(&vec![b'x'; 3 * LONGEST + 1]);
        assert_eq!(lines.len(), 3);
        assert_eq!(splitter.finish().as_deref(), Some("x"));
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(Splitter::default().feed(b"a\xffb\n"), ["a\u{fffd}b"]);
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_does_not_matter(text in "[a-z\n]{0,200}", at in 0_usize..200) {
            let mut whole = Splitter::default();
            let mut halves = Splitter::default();
            let (left, right) = text.as_bytes().split_at(at.min(text.len()));
            let mut pieces = halves.feed(left);
            pieces.extend(halves.feed(right));
            prop_assert_eq!(whole.feed(text.as_bytes()), pieces);
            prop_assert_eq!(whole.finish(), halves.finish());
        }
    }
}
