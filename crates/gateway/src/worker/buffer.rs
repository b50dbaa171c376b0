//! Read and write buffers that a core lends out and takes back.

use std::cell::RefCell;

/// Bytes of a lent buffer; a request's head and a small answer fit.
const SIZE: usize = 16 * 1024;

/// Buffers a core keeps for the next request; more are freed.
const MOST_KEPT: usize = 128;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn lend() -> Vec<u8> {
    FREE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(SIZE))
}

fn take_back(bytes: Vec<u8>) {
    // Grown ones are freed: one large head must not make every buffer large.
    if bytes.capacity() == SIZE {
        // The destructor of another thread-local value may come after this list's.
        _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < MOST_KEPT {
                free.push(bytes);
            }
        });
    }
}

/// Bytes that were read and are not yet consumed.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// Full length, so that reads need no clearing; what lies outside of `start..end` is old.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        let mut bytes = lend();
        bytes.resize(bytes.capacity(), 0);
        Self { bytes, start: 0, end: 0 }
    }
}

impl Buffer {
    /// What was read and not consumed.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Room to read into; never empty below `most` unconsumed bytes, else empty.
    pub(crate) fn room(&mut self, most: usize) -> &mut [u8] {
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else if self.bytes.len() < most {
                self.bytes.resize((self.bytes.len() * 2).min(most), 0);
            }
        }
        let end = self.bytes.len().min(self.start + most.max(self.end - self.start));
        &mut self.bytes[self.end..end]
    }

    /// Counts bytes that were read into [`Buffer::room`].
    pub(crate) fn filled_more(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// A larger room for a long body: fewer system calls.
    pub(crate) fn grow(&mut self, size: usize) {
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
    }

    #[cfg(test)]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut buffer = Self::default();
        buffer.room(1 << 20)[..bytes.len()].copy_from_slice(bytes);
        buffer.filled_more(bytes.len());
        buffer
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        take_back(std::mem::take(&mut self.bytes));
    }
}

/// Bytes to be written; lent and taken back like a [`Buffer`].
#[derive(Debug)]
pub(crate) struct Output(pub(crate) Vec<u8>);

impl Default for Output {
    fn default() -> Self {
        let mut bytes = lend();
        bytes.clear();
        Self(bytes)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        take_back(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unconsumed_bytes_move_to_the_front_when_room_is_needed() {
        let mut buffer = Buffer::of(&vec![b'a'; SIZE]);
        buffer.consume(SIZE - 3);
        assert!(buffer.room(SIZE).len() >= SIZE - 3);
        assert_eq!(buffer.filled(), b"aaa");
    }

    #[test]
    fn grows_up_to_the_limit_and_then_has_no_room() {
        let mut buffer = Buffer::of(&vec![b'a'; SIZE]);
        let room = buffer.room(SIZE + 10).len();
        assert_eq!(room, 10);
        buffer.filled_more(room);
        assert!(buffer.room(SIZE + 10).is_empty());
    }

    #[test]
    fn a_grown_buffer_is_not_kept() {
        let mut buffer = Buffer::default();
        buffer.grow(SIZE * 4);
        drop(buffer);
        assert_eq!(Buffer::default().bytes.len(), SIZE);
    }
}
