//! The settings compiled into what requests are decided by; immutable, swapped whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use regatta_auth::RequireRole;
use regatta_resilience::rate_limit::{self, SlidingWindow};
use regatta_traffic::route::{Found, Table};

use super::Authenticator;
use crate::upstream::Upstream;
use crate::{Access, InvalidSettings, Limits, Network, Resilience, Settings, Timeouts};

/// What requests are decided by.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) resilience: Resilience,
    pub(crate) trusted: Vec<Network>,
    pub(crate) limiter: Option<SlidingWindow>,
    pub(crate) authenticator: Option<Authenticator>,
    services: HashMap<Box<str>, Arc<Upstream>>,
    grpc: HashMap<Box<str>, Arc<Upstream>>,
    routes: Table<Rule>,
    default: Rule,
}

/// What a path asks of its caller.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The pattern, as metrics and logs name it.
    pub(crate) name: Arc<str>,
    pub(crate) access: Access,
    /// None when any caller will do.
    pub(crate) roles: Option<RequireRole>,
    pub(crate) timeout: Option<Duration>,
}

impl Rules {
    /// Compiles the settings over the upstreams of their services, by name.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting that cannot be.
    pub(crate) fn compile(
        settings: &Settings,
        upstreams: &BTreeMap<String, Arc<Upstream>>,
    ) -> Result<Self, InvalidSettings> {
        settings.validate()?;
        let mut routes = Table::builder();
        for route in &settings.routes {
            let rule = Rule {
                name: route.path.as_str().into(),
                access: route.access,
                roles: (!route.roles.is_empty())
                    .then(|| RequireRole::any(route.roles.iter().map(String::as_str))),
                timeout: route.timeout,
            };
            routes = routes.try_rule(&route.methods, &route.path, rule).map_err(|error| {
                let reason = regatta_core::Chain(&error).to_string();
                InvalidSettings::BadPattern { path: route.path.clone(), reason }
            })?;
        }
        let (mut services, mut grpc) = (HashMap::new(), HashMap::new());
        for service in &settings.services {
            let Some(upstream) = upstreams.get(service.name.as_str()) else { continue };
            services.insert(service.name.as_str().into(), Arc::clone(upstream));
            for name in &service.grpc {
                grpc.insert(name.as_str().into(), Arc::clone(upstream));
            }
        }
        let limiter = settings.rate_limit.map(|limit| {
            let limiter = rate_limit::Settings::new(limit.requests.get(), limit.window)
                .with_max_bytes(limit.max_bytes);
            SlidingWindow::try_new(limiter)
                .map_err(|error| InvalidSettings::BadRateLimit { reason: error.to_string() })
        });
        let default = Rule {
            name: "default".into(),
            access: settings.default_access,
            roles: None,
            timeout: None,
        };
        Ok(Self {
            limits: settings.limits,
            timeouts: settings.timeouts,
            resilience: settings.resilience,
            trusted: settings.trusted_hops.clone(),
            limiter: limiter.transpose()?,
            authenticator: settings.auth.as_ref().map(Authenticator::try_new).transpose()?,
            services,
            grpc,
            routes: routes.build(),
            default,
        })
    }

    /// The rule of a canonical path. A path that ends in `/` also falls under the rule without it:
    /// many servers serve both alike.
    pub(crate) fn rule(&self, method: &str, path: &str) -> &Rule {
        let found = match path.strip_suffix('/') {
            Some(trimmed) => self.routes.find_either(method, path, trimmed),
            None => self.routes.find(method, path),
        };
        if let Found::Rule(_, rule) = found { rule } else { &self.default }
    }

    /// The service of a canonical path and the part of the path that it gets.
    ///
    /// `/user-service/users/1` is `/users/1` at `user-service`. A gRPC path of a listed gRPC service
    /// needs no service in front and is passed on whole.
    pub(crate) fn upstream(
        &self,
        path: &str,
        is_grpc: bool,
    ) -> Result<(&Arc<Upstream>, usize), ()> {
        let first = path[1..].split('/').next().unwrap_or("");
        if is_grpc && let Some(upstream) = self.grpc.get(first) {
            return Ok((upstream, 0));
        }
        self.services.get(first).map(|upstream| (upstream, first.len() + 1)).ok_or(())
    }
}
