//! The control plane, seen from its clients.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod access;
mod api;
mod backend;
mod backup;
mod blocking;
mod checks;
mod connections;
mod consul;
mod consul_kv;
mod crash;
mod etcd;
mod full_disk;
mod lifecycle;
mod own;
mod scale;
mod server;
mod streams;
mod tls;
mod transfer;
mod transfer_consul;
mod web_pages;
