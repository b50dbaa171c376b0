//! What parts print: captured by line, kept in bounds, read back.

mod line;
pub use line::{Level, Record, Stream};

mod ring;
pub(crate) use ring::Ring;

mod splitter;
pub(crate) use splitter::Splitter;

mod file;
pub(crate) use file::LogFile;

mod journal;
pub(crate) use journal::Journal;

mod tail;
pub use tail::{Tail, last};
