//! Our own HTTP/1.1: strict rules in pure functions, and the connection that drives them.

mod refusal;
pub use refusal::Refusal;
mod framing;
pub(crate) mod name;
pub use framing::Body;
pub mod chunked;
mod request;
pub mod target;
pub(crate) use request::Headers;
pub use request::{Facts, Fields, RequestHead, parse_request};
mod response;
pub(crate) use response::{ResponseHead, parse_response};
mod admit;
pub(crate) use admit::too_many_connections;
mod attempts;
mod await_head;
mod connection;
mod exchange;
mod finish;
mod hedge;
mod io;
mod relay;
mod tunnel;
mod upload;
pub(crate) mod write;
pub(crate) use connection::serve;

#[cfg(test)]
mod request_tests;
