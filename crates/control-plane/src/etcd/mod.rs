//! etcd's version 3 gRPC interface over the key-value store.

mod app;

mod access;
mod auth;

mod status;
pub(crate) mod wire;

mod kv;
mod lease;

mod fragment;
mod watch;

mod bolt;
mod cluster;
mod maintenance;
mod snapshot;

mod election;
mod lock;
mod turn;

mod health;
mod health_service;
pub(crate) mod json;

mod half_sent;
mod routes;

mod server;
pub(crate) use server::{EtcdServer, options};
