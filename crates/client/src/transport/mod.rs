//! Connections to instances: one pool for each, over whatever carries bytes.

mod connect;
pub use connect::{Connect, Stream, TcpConnector};

mod pool;
pub(crate) use pool::{Limits, Pool};

/// What all pools of a process share.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) connector: std::sync::Arc<dyn Connect>,
    /// The connections' tasks, each of which ends with its connection.
    pub(crate) tasks: tokio_util::task::TaskTracker,
}

mod body;
pub(crate) use body::PooledBody;

mod error;
pub(crate) use error::{SendError, Unanswered};

mod http1;
mod http2;

/// How a call goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http,
    /// gRPC over HTTP/2 with prior knowledge.
    Grpc,
}
