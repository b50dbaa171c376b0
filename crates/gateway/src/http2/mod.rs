//! HTTP/2 on hyper: a server per connection, and upstream connections that stay on their core.

mod server;
pub(crate) use server::serve;
mod prefixed;
mod request;
mod forward;
mod body;
pub(crate) mod pool;
