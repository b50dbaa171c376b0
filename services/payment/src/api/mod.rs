//! Payments over REST.
