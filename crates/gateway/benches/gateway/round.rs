//! What is compared in one round.

/// What is compared in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// HTTP/1.1 through, no policies.
    Plain,
    /// HTTP/1.1 with tokens, roles, limits, versions and a retry.
    Policies,
    /// HTTP/2 from clients, HTTP/1.1 to services, no policies.
    Http2,
    /// gRPC: HTTP/2 on both sides, no policies.
    Grpc,
}

impl Round {
    pub(crate) const ALL: [Self; 4] = [Self::Plain, Self::Policies, Self::Http2, Self::Grpc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Policies => "policies",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
        }
    }
}
