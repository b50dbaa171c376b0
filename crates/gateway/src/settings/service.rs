//! Services offered and rules on their paths.

use std::sync::Arc;
use std::time::Duration;

use regatta_core::ServiceName;
use regatta_resilience::rate_limit::SharedLimiter;

use super::{RateLimit, Traffic};

/// A service offered under `/{name}`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Service {
    /// The name in the path and in the registry.
    pub name: ServiceName,
    /// Share of the traffic of each version subset, such as `v1: 90, v2: 10`. Empty: all instances
    /// alike. A subset without instances gives its share to the others.
    pub versions: Vec<(String, u32)>,
    /// Full names of its gRPC services, such as `userservice.UserService`; calls to
    /// `/userservice.UserService/GetUser` go to it without the service's name in front.
    pub grpc: Vec<String>,
    /// Time for a whole exchange. Default none: [`crate::Timeouts::request`] holds.
    pub timeout: Option<Duration>,
    /// How requests are sent to its instances. Default none: [`crate::Settings::traffic`] holds.
    pub traffic: Option<Traffic>,
}

impl Service {
    /// A service without subsets, gRPC names, timeout or traffic rules of its own.
    pub fn new(name: ServiceName) -> Self {
        Self { name, versions: Vec::new(), grpc: Vec::new(), timeout: None, traffic: None }
    }
}

/// A rule on paths.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Route {
    /// The path as the client sends it, the service's name included. `*` stands for one segment,
    /// `**` at the end for any rest, the empty one too: `/user-service/admin/**`.
    pub path: String,
    /// Methods it holds for; empty for all. A path that matches only with another method is no
    /// match.
    pub methods: Vec<String>,
    /// What it asks of the caller. Default [`Access::Required`].
    pub access: Access,
    /// Roles of which the caller needs one; empty for any. Needs `access: required`.
    pub roles: Vec<String>,
    /// Time for a whole exchange. Default none: the service's holds.
    pub timeout: Option<Duration>,
    /// Requests that a client may send to the paths of this rule, beside
    /// [`crate::Settings::rate_limit`], which counts them too. Default none.
    pub rate_limit: Option<RateLimit>,
    /// Where the counts of that are kept for all gateways together. Default none: each counts for
    /// itself.
    pub shared_limit: Option<Arc<dyn SharedLimiter>>,
    /// Only instances of this version are asked, whatever the weights of the service's versions.
    /// Where there is none the answer is 503. Default none: as the weights say.
    pub version: Option<String>,
}

impl Route {
    /// A rule that asks for a valid token, with any role and method.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            methods: Vec::new(),
            access: Access::Required,
            roles: Vec::new(),
            timeout: None,
            rate_limit: None,
            shared_limit: None,
            version: None,
        }
    }
}

/// What a path asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing; a token is passed on unread.
    None,
    /// A token that is sent must be valid; none needs to be sent.
    Optional,
    /// A valid token.
    Required,
}
