//! Read and write buffers that a core lends out and takes back.

use std::cell::RefCell;

/// Bytes of a lent buffer; a request's head and a small answer fit.
const SIZE: usize = 16 * 1024;

/// Buffers a core keeps for the next request; more are freed.
const MOST_KEPT: usize = 128;

thread_local! {
    /// Of full length, so that a read needs no clearing.
    static READ: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// Of no length. Apart from the others: one list for both would clear 16 KiB in each request.
    static WRITE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

type Free = std::thread::LocalKey<RefCell<Vec<Vec<u8>>>>;

fn take_back(free: &'static Free, bytes: Vec<u8>) {
    // Grown ones are freed: one large head must not make every buffer large.
    if bytes.capacity() == SIZE {
        // The destructor of another thread-local value may come after this list's.
        _ = free.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < MOST_KEPT {
                free.push(bytes);
            }
        });
    }
}

/// Bytes that were read and are not yet consumed.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// Lent when there is something to read. What lies outside of `start..end` is old.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
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

    /// Gives its bytes back to the core while nothing is in them: who waits for a peer needs none, and
    /// the next one to read finds them in the processor's cache.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() && self.bytes.len() == SIZE {
            take_back(&READ, std::mem::take(&mut self.bytes));
        }
    }

    /// Room to read into; never empty below `most` unconsumed bytes, else empty.
    pub(crate) fn room(&mut self, most: usize) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = READ.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; SIZE]);
        } else if self.end == self.bytes.len() {
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
        take_back(&READ, std::mem::take(&mut self.bytes));
    }
}

/// Bytes to be written; lent and taken back like a [`Buffer`].
#[derive(Debug)]
pub(crate) struct Output(pub(crate) Vec<u8>);

impl Default for Output {
    fn default() -> Self {
        Self(WRITE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(SIZE)))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.0.clear();
        take_back(&WRITE, std::mem::take(&mut self.0));
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
        let mut buffer = Buffer::default();
        buffer.room(SIZE);
        assert_eq!(buffer.bytes.len(), SIZE);
    }

    #[test]
    fn a_buffer_that_rests_holds_bytes_only_while_there_is_something_in_it() {
        let mut buffer = Buffer::of(b"ab");
        buffer.rest();
        assert_eq!(buffer.filled(), b"ab");
        buffer.consume(2);
        buffer.rest();
        assert_eq!(buffer.bytes.capacity(), 0);
        assert_eq!(READ.with_borrow(Vec::len), 1, "the core has it");
        assert_eq!(buffer.room(SIZE).len(), SIZE);
        assert_eq!(READ.with_borrow(Vec::len), 0);
    }

    #[test]
    fn bytes_to_be_written_are_lent_empty_and_not_to_readers() {
        drop(Output(Vec::with_capacity(SIZE)));
        let mut out = Output::default();
        out.0.extend_from_slice(b"ab");
        drop(out);
        assert_eq!(Output::default().0.len(), 0);
        assert_eq!(READ.with_borrow(Vec::len), 0);
    }
}
