//! What keeps a gateway from starting.

use std::net::SocketAddr;

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSettings {
    /// A number out of its range.
    #[error("{setting} is `{value}`; use {least} to {most}")]
    OutOfRange {
        /// Its name.
        setting: &'static str,
        /// What was given.
        value: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// A time that is over when it begins.
    #[error("{setting} is 0; set it to 1 ms or more")]
    ZeroTime {
        /// Its name.
        setting: &'static str,
    },
    /// The gateway answers `/health` itself.
    #[error("service `{name}` has a name that the gateway answers itself; rename the service")]
    ReservedService {
        /// The service.
        name: String,
    },
    /// Two services of one name.
    #[error("service `{name}` is listed twice; merge the two entries")]
    TwiceTheService {
        /// The service.
        name: String,
    },
    /// A gRPC service at two places.
    #[error("gRPC service `{name}` is listed twice; keep the entry of the service that serves it")]
    TwiceTheGrpcService {
        /// The gRPC service's full name.
        name: String,
    },
    /// No subset may get traffic.
    #[error("versions of `{name}` have no weight above 0; give one of them a weight")]
    NoWeight {
        /// The service.
        name: String,
    },
    /// Tokens are asked for and nothing can verify them.
    #[error("route `{path}` needs a token and no key is set; set auth.secret or `auth: none`")]
    NoAuth {
        /// The route's path.
        path: String,
    },
    /// Roles come from tokens.
    #[error("route `{path}` names roles without `auth: required`; set it or remove the roles")]
    RolesWithoutToken {
        /// The route's path.
        path: String,
    },
    /// Methods are upper case.
    #[error("route `{path}` names method `{method}`; write methods in capitals, such as GET")]
    BadMethod {
        /// The route's path.
        path: String,
        /// What was given.
        method: String,
    },
    /// A pattern that cannot match what it seems to say.
    #[error("route `{path}` is not a pattern: {reason}; see docs/guide/gateway.md")]
    BadPattern {
        /// The route's path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody is known as a user.
    #[error("rate_limit.key is user and no token is verified; set auth, or another key")]
    NoUsers,
    /// The limiter cannot count so.
    #[error("rate_limit cannot be: {reason}")]
    BadRateLimit {
        /// What is wrong with it.
        reason: String,
    },
    /// The limiter of a route cannot count so.
    #[error("the limit of route `{path}` cannot be: {reason}")]
    BadRouteLimit {
        /// The route's path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// How requests are to be sent to a service cannot be.
    #[error("traffic rules of `{of}` cannot be: {reason}")]
    BadTraffic {
        /// The service, or `traffic` for the rules that all share.
        of: String,
        /// What is wrong with them.
        reason: String,
    },
    /// The key cannot verify.
    #[error("auth cannot verify tokens: {reason}")]
    BadAuth {
        /// What is wrong with it.
        reason: String,
    },
}

/// The gateway could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A setting that cannot be.
    #[error("settings of the gateway are wrong")]
    Settings(#[from] InvalidSettings),
    /// The address is taken or not ours.
    #[error(
        "cannot listen on `{address}`; stop what uses it (`ss -ltnp`) or choose another address"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A thread or its runtime could not be made.
    #[error("cannot start worker {worker}; look at the limits on threads and open files")]
    Worker {
        /// Its number, from 0.
        worker: usize,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}
