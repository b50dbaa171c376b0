//! Users over REST and gRPC.

pub mod rest;

pub mod grpc;

pub mod messages;

mod wire;

mod problem;
