//! Groups of entries in a file; a torn one is told from a damaged one.

use super::codec::{self, Malformed};
use crate::kv::entry::Entry;

/// Begins each frame, so that a later one can be found behind a damaged one.
const MARK: [u8; 4] = *b"RGkv";
/// Mark, length and checksum.
const HEAD: usize = 12;
/// Longer ones are no frames: a group is bounded by what its requests may hold.
const MOST_BYTES: usize = 1 << 30;

/// What a file's bytes hold.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) entries: Vec<Entry>,
    /// Where the last whole frame ends.
    pub(crate) whole: usize,
    pub(crate) tail: Tail,
}

/// What comes behind the last whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    None,
    /// A frame whose write was cut; it was never acknowledged.
    Torn,
    /// Something that was whole once: a frame is written only after all before it are on the disk,
    /// so a whole frame behind a broken one says that the broken one was damaged later.
    Damaged,
}

/// Appends these entries as one frame: whole or absent after a crash.
pub(crate) fn write(entries: &[Entry], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend([0; HEAD]);
    entries.iter().for_each(|entry| codec::encode(entry, out));
    let body = &out[start + HEAD..];
    let length = u32::try_from(body.len()).expect("a group is under 4 GiB");
    let sum = crc32fast::hash(body);
    let head = &mut out[start..start + HEAD];
    head[..4].copy_from_slice(&MARK);
    head[4..8].copy_from_slice(&length.to_le_bytes());
    head[8..].copy_from_slice(&sum.to_le_bytes());
}

/// Reads frames from the front until one is not whole.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scan, Malformed> {
    let (mut entries, mut whole) = (Vec::new(), 0);
    while let Some(mut body) = body(&bytes[whole..]) {
        whole += HEAD + body.len();
        while !body.is_empty() {
            // Its checksum is right, so a build with another format wrote it.
            entries.push(codec::decode(&mut body)?);
        }
    }
    let rest = &bytes[whole..];
    let tail = match rest.is_empty() {
        true => Tail::None,
        false if has_whole_frame(rest) => Tail::Damaged,
        false => Tail::Torn,
    };
    Ok(Scan { entries, whole, tail })
}

fn body(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = usize::try_from(word(4)).ok()?;
    let is_frame = head[..4] == MARK && length <= MOST_BYTES;
    let body = rest.get(..length).filter(|_| is_frame)?;
    (crc32fast::hash(body) == word(8)).then_some(body)
}

fn has_whole_frame(bytes: &[u8]) -> bool {
    let starts = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| **window == MARK);
    starts.map(|(at, _)| at).any(|at| body(&bytes[at..]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> (Vec<u8>, Vec<usize>) {
        let mut out = Vec::new();
        let ends = (1..4).map(|revision| {
            write(&[Entry::Compacted { revision }, Entry::Compacted { revision }], &mut out);
            out.len()
        });
        let ends = ends.collect();
        (out, ends)
    }

    #[test]
    fn a_cut_anywhere_leaves_the_frames_before_it() {
        let (bytes, ends) = frames();
        for cut in 0..=bytes.len() {
            let scan = scan(&bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(scan.entries.len(), whole * 2, "cut at {cut}");
            let is_clean = cut == 0 || ends.contains(&cut);
            assert_eq!(scan.tail, if is_clean { Tail::None } else { Tail::Torn }, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage_unless_the_last_frame_has_it() {
        let (bytes, ends) = frames();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            let scan = scan(&flipped).unwrap();
            let wanted = if at < ends[1] { Tail::Damaged } else { Tail::Torn };
            assert_eq!(scan.tail, wanted, "bit of byte {at}");
        }
    }

    #[test]
    fn zeros_behind_the_last_frame_are_a_torn_write() {
        let (mut bytes, ends) = frames();
        bytes.extend([0; 100]);
        let scan = scan(&bytes).unwrap();
        assert_eq!((scan.whole, scan.tail), (ends[2], Tail::Torn));
    }
}
