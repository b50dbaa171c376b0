//! Numbers, bytes and keys as fields of entries.

use bytes::Bytes;

use super::codec::Malformed;

/// What a field may lean on: the entry before it in the same frame.
#[derive(Debug, Default)]
pub(super) struct Before {
    key: Vec<u8>,
    revision: i64,
}

impl Before {
    /// Appends a revision, as its distance from the one before.
    pub(super) fn put_revision(&mut self, out: &mut Vec<u8>, revision: i64) {
        put_signed(out, revision.wrapping_sub(self.revision));
        self.revision = revision;
    }

    pub(super) fn revision(&mut self, input: &mut &[u8]) -> Result<i64, Malformed> {
        self.revision = self.revision.wrapping_add(signed(input)?);
        Ok(self.revision)
    }

    /// Appends a key: how much it has of the one before, and the rest. `kind`, of 0 to 3, is in the
    /// first byte.
    pub(super) fn put_key(&mut self, out: &mut Vec<u8>, kind: u8, key: &[u8]) {
        let same = self.key.iter().zip(key).take_while(|(before, now)| before == now).count();
        let rest = &key[same..];
        put_number(out, (rest.len() as u64) << 2 | u64::from(kind));
        put_number(out, same as u64);
        out.extend(rest);
        self.key.truncate(same);
        self.key.extend(rest);
    }

    pub(super) fn key(&mut self, input: &mut &[u8]) -> Result<(u8, Bytes), Malformed> {
        let first = number(input)?;
        let same = usize::try_from(number(input)?).map_err(|_| Malformed)?;
        let rest = usize::try_from(first >> 2).map_err(|_| Malformed)?;
        let rest = input.split_off(..rest).ok_or(Malformed)?;
        if same > self.key.len() {
            return Err(Malformed);
        }
        self.key.truncate(same);
        self.key.extend(rest);
        Ok(((first & 3) as u8, Bytes::copy_from_slice(&self.key)))
    }
}

/// Appends a number, seven bits a byte, the lowest first (LEB128).
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn number(input: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = byte(input)?;
        let bits = u64::from(byte & 0x7f);
        // The last byte has room for one bit.
        if bits << shift >> shift != bits {
            return Err(Malformed);
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

/// Appends a number that may be negative; one that is near 0 takes little room.
pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, (number << 1 ^ number >> 63).cast_unsigned());
}

pub(super) fn signed(input: &mut &[u8]) -> Result<i64, Malformed> {
    let number = number(input)?;
    Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

/// Appends bytes with their length before them.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend(bytes);
}

/// Copied, so that they do not keep the whole input in memory.
pub(super) fn bytes(input: &mut &[u8]) -> Result<Bytes, Malformed> {
    let length = usize::try_from(number(input)?).map_err(|_| Malformed)?;
    input.split_off(..length).map(Bytes::copy_from_slice).ok_or(Malformed)
}

pub(super) fn byte(input: &mut &[u8]) -> Result<u8, Malformed> {
    input.split_off_first().copied().ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_written(unsigned: u64, negative: i64, shift in 0..64_u32) {
            // Of every length.
            let (unsigned, negative) = (unsigned >> shift, negative >> shift);
            let mut out = Vec::new();
            put_number(&mut out, unsigned);
            put_signed(&mut out, negative);
            let mut input = &*out;
            prop_assert_eq!(number(&mut input), Ok(unsigned));
            prop_assert_eq!(signed(&mut input), Ok(negative));
            prop_assert!(input.is_empty());
        }
    }

    #[test]
    fn small_numbers_take_one_byte_of_either_sign() {
        let mut out = Vec::new();
        [-64, 0, 63].into_iter().for_each(|number| put_signed(&mut out, number));
        assert_eq!(out, [127, 0, 126]);
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let longest = [[0xff; 9].as_slice(), &[1]].concat();
        assert_eq!(number(&mut &*longest), Ok(u64::MAX));
        for last in [2, 0x81] {
            let mut longer = longest.clone();
            longer[9] = last;
            longer.push(0);
            assert_eq!(number(&mut &*longer), Err(Malformed));
        }
    }

    #[test]
    fn a_key_takes_what_differs_from_the_one_before() {
        let (mut out, mut before) = (Vec::new(), Before::default());
        let keys = ["/a/1", "/a/12", "/a/2", "/a/2", "/b", ""];
        let sizes = keys.map(|key| {
            out.clear();
            before.put_key(&mut out, 3, key.as_bytes());
            out.len()
        });
        assert_eq!(sizes, [6, 3, 3, 2, 3, 2]);
    }

    #[test]
    fn a_key_that_has_more_of_the_one_before_than_there_was_is_refused() {
        let mut before = Before::default();
        let (_, key) = before.key(&mut [4, 0, b'a'].as_slice()).unwrap();
        assert_eq!(key, "a");
        assert_eq!(before.key(&mut [4, 2, b'a'].as_slice()), Err(Malformed));
    }
}
