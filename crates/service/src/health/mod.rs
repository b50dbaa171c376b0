//! Whether the service lives, is ready, and is healthy with all it needs.

mod report;

mod probe;
pub(crate) use probe::{Dependency, Health};

mod rest;
pub(crate) use rest::routes;

mod grpc;
pub(crate) use grpc::GrpcHealth;
