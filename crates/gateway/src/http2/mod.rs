//! HTTP/2 on hyper: a server per connection, and upstream connections that stay on their core.

mod server;
pub(crate) use server::serve;
mod answer;
mod attempt;
mod body;
mod discard;
mod exchange;
mod forward;
mod hedge;
mod idle;
mod judged;
pub(crate) mod pool;
mod prefixed;
mod progress;
mod reader;
mod replay;
mod request;
mod streams;
