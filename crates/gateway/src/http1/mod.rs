//! Our own HTTP/1.1: strict rules in pure functions, and the connection that drives them.

mod refusal;
pub use refusal::Refusal;
pub(crate) mod name;
mod framing;
pub use framing::Body;
pub mod chunked;
pub mod target;
mod request;
pub(crate) use request::Headers;
pub use request::{Facts, Fields, RequestHead, parse_request};
mod response;
pub(crate) use response::{ResponseHead, parse_response};
pub(crate) mod write;
mod admit;
mod io;
mod upload;
mod relay;
mod tunnel;
mod exchange;
mod connection;
pub(crate) use connection::serve;

#[cfg(test)]
mod request_tests;
