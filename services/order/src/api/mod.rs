//! Orders over REST.

pub mod rest;

mod wire;

mod problem;
