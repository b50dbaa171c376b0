//! Groups of entries in a file; a torn one is told from a damaged one.
//!
//! A file begins with a number of its own, and each frame's checksums are taken over that number and
//! the frame's place, too. So a value that holds a piece of a log is never a frame of the log that
//! it is written to.

use std::borrow::Borrow;
use std::io::{self, Read, Seek, SeekFrom};
use std::iter::Peekable;

use super::codec::{self, Malformed};
use super::fields::Before;
use crate::kv::entry::Entry;

/// Begins each file; the digit is the format's.
const FILE_MARK: [u8; 8] = *b"RGstore2";
/// Mark, the file's number, checksum.
pub(super) const FILE_HEAD: usize = 20;
/// Began each frame of the first format, which began with a frame.
const FIRST_FORMAT: [u8; 4] = *b"RGkv";
/// Begins each frame, so that a later one can be found behind a damaged one.
const MARK: [u8; 4] = *b"RGfr";
/// Mark, length, the body's checksum, that of all these.
const HEAD: usize = 16;
/// What is looked through at a time for a frame behind a broken one.
const WINDOW: usize = 1 << 20;

/// What a file is, beside its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The file's number; none when its beginning was cut.
    pub(crate) salt: Option<u64>,
    /// Where the last whole frame ends.
    pub(crate) whole: u64,
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

/// A file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its checksums are right, or it is of the first format: another build wrote it.
    #[error(transparent)]
    Format(#[from] Malformed),
}

/// The beginning of a file with this number.
pub(super) fn file_head(salt: u64) -> [u8; FILE_HEAD] {
    let mut head = [0; FILE_HEAD];
    head[..8].copy_from_slice(&FILE_MARK);
    head[8..16].copy_from_slice(&salt.to_le_bytes());
    let sum = crc32fast::hash(&head[..16]);
    head[16..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// Puts entries into `out` as one frame for this place of a file, whole or absent after a crash: at
/// least one, and no further ones once it has `most` bytes.
pub(super) fn write<E: Borrow<Entry>>(
    entries: &mut Peekable<impl Iterator<Item = E>>,
    salt: u64,
    at: u64,
    most: usize,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    out.clear();
    out.extend([0; HEAD]);
    let mut before = Before::default();
    while out.len() < most + HEAD
        && let Some(entry) = entries.next()
    {
        codec::encode(entry.borrow(), &mut before, out);
    }
    let body = &out[HEAD..];
    let length = u32::try_from(body.len()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "a change of 4 GiB or more; make it several")
    })?;
    let head = Head { length, sum: sum(salt, at, body) };
    out[..HEAD].copy_from_slice(&head.bytes(salt, at));
    Ok(())
}

/// Reads a file of this length from the front until a frame is not whole; hands out each entry.
pub(super) fn scan(
    input: &mut (impl Read + Seek),
    length: u64,
    mut take: impl FnMut(Entry),
) -> Result<Scan, ScanError> {
    let (salt, tail) = read_file_head(input, length)?;
    let Some(salt) = salt else { return Ok(Scan { salt, whole: 0, tail }) };
    let (mut whole, mut body) = (FILE_HEAD as u64, Vec::new());
    while let Some(frame) = Head::read(input, salt, whole, length)? {
        // Not a length that a broken head has: that is under a checksum.
        body.resize(frame.length as usize, 0);
        input.read_exact(&mut body)?;
        if sum(salt, whole, &body) != frame.sum {
            break;
        }
        let (mut rest, mut before) = (&*body, Before::default());
        while !rest.is_empty() {
            take(codec::decode(&mut rest, &mut before)?);
        }
        whole += frame.bytes_in_all();
    }
    let tail = match length - whole {
        0 => Tail::None,
        _ if has_whole_frame(input, salt, whole, length)? => Tail::Damaged,
        _ => Tail::Torn,
    };
    Ok(Scan { salt: Some(salt), whole, tail })
}

/// Whether there is more of a file than a beginning that was cut.
pub(super) fn is_begun(input: &mut impl Read, length: u64) -> Result<bool, ScanError> {
    let (salt, tail) = read_file_head(input, length)?;
    Ok(salt.is_some() || tail == Tail::Damaged)
}

/// The file's number, or what is there instead of its beginning.
fn read_file_head(input: &mut impl Read, length: u64) -> Result<(Option<u64>, Tail), ScanError> {
    let mut head = Vec::with_capacity(FILE_HEAD);
    input.take(length.min(FILE_HEAD as u64)).read_to_end(&mut head)?;
    let salt = head.get(8..16).and_then(|salt| Some(u64::from_le_bytes(salt.try_into().ok()?)));
    if let Some(salt) = salt.filter(|salt| head == file_head(*salt)) {
        return Ok((Some(salt), Tail::None));
    }
    if head.starts_with(&FIRST_FORMAT) {
        return Err(Malformed.into());
    }
    let tail = match length {
        0 => Tail::None,
        // It is on the disk before anything is written behind it.
        _ if length <= FILE_HEAD as u64 => Tail::Torn,
        _ => Tail::Damaged,
    };
    Ok((None, tail))
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug)]
struct Head {
    length: u32,
    /// Of the body.
    sum: u32,
}

impl Head {
    fn bytes(self, salt: u64, at: u64) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&MARK);
        head[4..8].copy_from_slice(&self.length.to_le_bytes());
        head[8..12].copy_from_slice(&self.sum.to_le_bytes());
        let sum = sum(salt, at, &head[..12]);
        head[12..].copy_from_slice(&sum.to_le_bytes());
        head
    }

    /// One that belongs to this place of a file.
    fn parse(bytes: &[u8], salt: u64, at: u64) -> Option<Self> {
        let bytes: &[u8; HEAD] = bytes.try_into().ok().filter(|_| bytes.starts_with(&MARK))?;
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
        let head = Self { length: word(4), sum: word(8) };
        (head.bytes(salt, at) == *bytes).then_some(head)
    }

    /// The one at this place, where `input` is, if its frame ends within the file.
    fn read(input: &mut impl Read, salt: u64, at: u64, length: u64) -> io::Result<Option<Self>> {
        if length - at < HEAD as u64 {
            return Ok(None);
        }
        let mut bytes = [0; HEAD];
        input.read_exact(&mut bytes)?;
        let head = Self::parse(&bytes, salt, at);
        Ok(head.filter(|head| head.bytes_in_all() <= length - at))
    }

    fn bytes_in_all(self) -> u64 {
        HEAD as u64 + u64::from(self.length)
    }
}

fn sum(salt: u64, at: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&at.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn has_whole_frame(
    input: &mut (impl Read + Seek),
    salt: u64,
    from: u64,
    length: u64,
) -> io::Result<bool> {
    let (mut at, mut window) = (from, Vec::new());
    while length - at >= HEAD as u64 {
        input.seek(SeekFrom::Start(at))?;
        window.clear();
        input.by_ref().take((length - at).min(WINDOW as u64)).read_to_end(&mut window)?;
        for (head, place) in window.windows(HEAD).zip(at..) {
            let head = Head::parse(head, salt, place);
            if let Some(head) = head.filter(|head| head.bytes_in_all() <= length - place)
                && is_whole(input, head, salt, place)?
            {
                return Ok(true);
            }
        }
        at += (window.len() - (HEAD - 1)) as u64;
    }
    Ok(false)
}

fn is_whole(input: &mut (impl Read + Seek), head: Head, salt: u64, at: u64) -> io::Result<bool> {
    input.seek(SeekFrom::Start(at + HEAD as u64))?;
    let mut body = Vec::new();
    input.by_ref().take(u64::from(head.length)).read_to_end(&mut body)?;
    Ok(sum(salt, at, &body) == head.sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 7;

    /// A file of three frames with two entries each, and where each frame ends.
    fn file() -> (Vec<u8>, Vec<usize>) {
        let (mut out, mut frame) = (file_head(SALT).to_vec(), Vec::new());
        let ends = (1..4).map(|revision| {
            let entries = [Entry::Compacted { revision }, Entry::Compacted { revision }];
            let mut entries = entries.iter().peekable();
            write(&mut entries, SALT, out.len() as u64, usize::MAX - HEAD, &mut frame).unwrap();
            out.extend(&frame);
            out.len()
        });
        let ends = ends.collect();
        (out, ends)
    }

    fn scanned(bytes: &[u8]) -> (usize, Scan) {
        let mut entries = 0;
        let length = bytes.len() as u64;
        let scan = scan(&mut io::Cursor::new(bytes), length, |_| entries += 1).unwrap();
        (entries, scan)
    }

    #[test]
    fn a_cut_anywhere_leaves_the_frames_before_it() {
        let (bytes, ends) = file();
        for cut in 0..=bytes.len() {
            let (entries, scan) = scanned(&bytes[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(entries, whole * 2, "cut at {cut}");
            let is_clean = [0, FILE_HEAD].contains(&cut) || ends.contains(&cut);
            assert_eq!(scan.tail, if is_clean { Tail::None } else { Tail::Torn }, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage_unless_the_last_frame_has_it() {
        let (bytes, ends) = file();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            let (_, scan) = scanned(&flipped);
            let wanted = if at < ends[1] { Tail::Damaged } else { Tail::Torn };
            assert_eq!(scan.tail, wanted, "bit of byte {at}");
        }
    }

    #[test]
    fn zeros_behind_the_last_frame_are_a_torn_write() {
        let (mut bytes, ends) = file();
        bytes.extend([0; 100]);
        let (_, scan) = scanned(&bytes);
        assert_eq!((scan.whole, scan.tail), (ends[2] as u64, Tail::Torn));
    }

    #[test]
    fn a_frame_is_none_at_another_place_or_in_another_file() {
        let (bytes, ends) = file();
        let mut moved = bytes.clone();
        moved.extend([0; 3]);
        moved.extend(&bytes[ends[0]..ends[1]]);
        assert_eq!(scanned(&moved).1.tail, Tail::Torn);
        let mut other = bytes[..ends[0]].to_vec();
        other[..FILE_HEAD].copy_from_slice(&file_head(SALT + 1));
        let (entries, scan) = scanned(&other);
        assert_eq!((entries, scan.tail), (0, Tail::Torn));
    }

    #[test]
    fn a_whole_frame_is_found_however_far_behind_a_broken_one() {
        let (bytes, _) = file();
        // Longer than what is looked through at a time, so that the head is in two of them.
        for distance in [WINDOW - HEAD, WINDOW - HEAD + 1, WINDOW - 1, WINDOW, WINDOW + 1] {
            let place = (bytes.len() + distance) as u64;
            let mut frame = Vec::new();
            let entry = [Entry::Compacted { revision: 9 }];
            write(&mut entry.iter().peekable(), SALT, place, 1, &mut frame).unwrap();
            let mut broken = bytes.clone();
            broken.resize(bytes.len() + distance, 0);
            broken.extend(&frame);
            assert_eq!(scanned(&broken).1.tail, Tail::Damaged, "{distance} bytes behind");
        }
    }

    #[test]
    fn a_frame_ends_with_the_entry_that_makes_it_long_enough() {
        let entries = [1, 2, 3, 4, 5].map(|revision| Entry::Compacted { revision });
        let mut left = entries.iter().peekable();
        let (mut bytes, mut frame, mut frames) = (file_head(SALT).to_vec(), Vec::new(), 0);
        while left.peek().is_some() {
            write(&mut left, SALT, bytes.len() as u64, 10, &mut frame).unwrap();
            bytes.extend(&frame);
            frames += 1;
        }
        let (read, scan) = scanned(&bytes);
        assert_eq!((frames, read, scan.tail), (3, 5, Tail::None));
    }

    #[test]
    fn a_file_of_the_first_format_is_of_another_build() {
        let mut input = io::Cursor::new(b"RGkv\x08\0\0\0then a sum and a body".to_vec());
        let refused = scan(&mut input, 29, |_| ()).unwrap_err();
        assert!(matches!(refused, ScanError::Format(_)), "{refused}");
    }
}
