//! Users over REST and gRPC.

pub mod rest;

pub mod grpc;

mod wire;

mod problem;
