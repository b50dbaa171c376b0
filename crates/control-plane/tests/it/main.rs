//! The control plane, seen from its clients.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod access;
mod backend;
mod blocking;
mod checks;
mod crash;
mod etcd;
mod lifecycle;
mod scale;
mod server;
mod surface;
mod tls;
mod transfer;
mod web_pages;
