//! Group `server`: the port and what one client may take of it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use regatta_config::{ByteSize, setting_from_text, settings};
use regatta_traffic::clients::{InvalidNetwork, Network};

use crate::server::Limits;

settings! {
    /// The port that serves REST and gRPC, and what one client may take of it.
    pub struct ServerSettings in "server" {
        /// The address to listen on; 0.0.0.0 for all.
        pub host: IpAddr = IpAddr::from([127, 0, 0, 1]), env "HOST";
        /// The port to listen on; 0 for any free one.
        pub port: u16 = 8080, env "PORT";
        /// Open connections; at the limit, new ones wait.
        pub max_connections: usize = 10_000, range 1..;
        /// Longest time for the header of a request, and for the first bytes of a new connection.
        pub header_read_timeout: Duration = Duration::from_secs(10), range POSITIVE..;
        /// How long a connection is kept open between two requests; longer than the caller keeps
        /// it (the gateway: 60 s), so that it is not closed under a request.
        pub idle_timeout: Duration = Duration::from_secs(75), range POSITIVE..;
        /// How long a client may take no byte of an answer that waits for it; then its connection
        /// is closed. A slow download goes on for as long as it progresses.
        pub write_timeout: Duration = Duration::from_secs(30), range POSITIVE..;
        /// Bytes of a request's header; more is answered with 431.
        pub max_header_bytes: ByteSize = ByteSize::kib(64), range ByteSize::kib(8)..=ByteSize::mib(1);
        /// Bytes of a request's body; more is answered with 413. Messages of gRPC have their own
        /// limit of 4 MiB each.
        pub max_body_bytes: ByteSize = ByteSize::mib(2);
        /// Longest time to the head of an answer; then 504, or DEADLINE_EXCEEDED over gRPC. A
        /// caller's deadline may shorten it. Streams last as long as they like once they have begun.
        pub request_timeout: Duration = Duration::from_secs(30), range POSITIVE..;
        /// Requests at once on one HTTP/2 connection.
        pub max_concurrent_streams: u32 = 256, range 1..;
        /// Time between two pings on an HTTP/2 connection, and how long one may stay unanswered.
        pub http2_keep_alive: Duration = Duration::from_secs(20), range POSITIVE..;
        /// Addresses and ranges whose `X-Forwarded-For` is believed, such as 10.0.0.0/8: the gateway's,
        /// so that clients are counted (`rate_limit`) and not the gateway.
        pub trusted_hops: Vec<Hop>;
        /// Time between leaving the registry and closing the port: callers that have not heard of
        /// it yet are still served. At most two fifths of `drain_timeout`.
        pub linger: Duration = Duration::from_secs(1);
        /// Longest time from SIGTERM to the end of the process, all stages together: out of the
        /// registry by a fifth of it, lingering to two fifths, requests in flight to four fifths,
        /// tasks to nine tenths, databases and telemetry to the end. Below the 30 s after which
        /// Kubernetes kills.
        pub drain_timeout: Duration = Duration::from_secs(15);
    }
}

/// Who is believed about where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop(pub Network);

impl FromStr for Hop {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

setting_from_text!(Hop, "an address or a range", "write 10.1.2.3, 10.0.0.0/8 or fd00::/8");

/// A timeout of zero would refuse everything.
const POSITIVE: Duration = Duration::from_millis(1);

impl ServerSettings {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_connections: self.max_connections,
            header_read_timeout: self.header_read_timeout,
            idle_timeout: self.idle_timeout,
            write_timeout: self.write_timeout,
            max_header_bytes: self.max_header_bytes.as_usize(),
            max_concurrent_streams: self.max_concurrent_streams,
            http2_keep_alive: self.http2_keep_alive,
            tells_peers: false,
        }
    }
}
