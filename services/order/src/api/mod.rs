//! What clients and other services see: routes, messages, wire types, and which error is which
//! problem.

pub mod rest;

pub mod messages;

mod problem;

mod wire;
