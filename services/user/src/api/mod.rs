//! Users over REST and gRPC.
