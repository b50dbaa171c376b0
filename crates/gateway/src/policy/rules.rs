//! The settings compiled into what requests are decided by; immutable, swapped whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use regatta_auth::{KeyRing, RequireRole};
use regatta_resilience::rate_limit::{self, SharedLimiter};
use regatta_traffic::clients::{Counter, Counting};
use regatta_traffic::route::{Found, Table};

use super::Authenticator;
use crate::upstream::{Target, Upstream};
use crate::{Access, InvalidSettings, LimitKey, Limits, Network, RateLimit, Settings, Timeouts};

/// What requests are decided by.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) trusted: Vec<Network>,
    pub(crate) limiter: Option<Counter>,
    pub(crate) authenticator: Option<Authenticator>,
    services: HashMap<Box<str>, Arc<Target>>,
    grpc: HashMap<Box<str>, Arc<Target>>,
    /// What the limiter was made of.
    rate_limit: Option<RateLimit>,
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
    /// Compiles the settings over the upstreams of their services, by name. What the rules before
    /// have counted and learnt goes on counting where its settings are the same.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting that cannot be.
    pub(crate) fn compile(
        settings: &Settings,
        upstreams: &BTreeMap<String, Arc<Upstream>>,
        before: Option<&Self>,
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
            let known = before.and_then(|rules| rules.services.get(service.name.as_str()));
            let upstream = Arc::clone(upstream);
            let target = Target::new(upstream, service, settings, known.map(|known| &**known));
            let target = Arc::new(target);
            for name in &service.grpc {
                grpc.insert(name.as_str().into(), Arc::clone(&target));
            }
            services.insert(service.name.as_str().into(), target);
        }
        let same_limit = before.filter(|rules| rules.rate_limit == settings.rate_limit);
        let limiter = match settings.rate_limit {
            None => None,
            Some(limit) => {
                let kept = same_limit.and_then(|rules| rules.limiter.as_ref());
                let counting = counting(limit, settings.shared_limit.as_ref());
                let counter = Counter::try_new(&counting, kept);
                Some(counter.map_err(|error| {
                    let reason = error.to_string();
                    InvalidSettings::BadRateLimit { reason }
                })?)
            }
        };
        let known_ring = before.and_then(|rules| rules.authenticator.as_ref());
        let authenticator = match &settings.auth {
            None => None,
            Some(auth) => Some(Authenticator {
                auth: auth.clone(),
                ring: match known_ring.filter(|known| known.auth.is_same(auth)) {
                    Some(known) => known.ring.clone(),
                    None => KeyRing::try_new(auth.trust()).map_err(|error| {
                        let reason = regatta_core::Chain(&error).to_string();
                        InvalidSettings::BadAuth { reason }
                    })?,
                },
            }),
        };
        let default = Rule {
            name: "default".into(),
            access: settings.default_access,
            roles: None,
            timeout: None,
        };
        Ok(Self {
            limits: settings.limits,
            timeouts: settings.timeouts,
            trusted: settings.trusted_hops.clone(),
            limiter,
            authenticator,
            rate_limit: settings.rate_limit,
            services,
            grpc,
            routes: routes.build(),
            default,
        })
    }

    /// Who a client is; its address where nobody is counted.
    pub(crate) fn limit_key(&self) -> LimitKey {
        self.rate_limit.map_or(LimitKey::Address, |limit| limit.key)
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

    /// The service of a canonical path.
    pub(crate) fn destination(&self, path: &str, is_grpc: bool) -> Option<Destination<'_>> {
        let mut segments = path[1..].split('/');
        let first = segments.next().unwrap_or("");
        if is_grpc && let Some(target) = self.grpc.get(first) {
            return Some(Destination { target, from: 0, is_grpc: true });
        }
        let target = self.services.get(first)?;
        let is_listed = |name: &str| target.grpc.iter().any(|listed| listed == name);
        let is_grpc = is_grpc && segments.next().is_some_and(is_listed);
        Some(Destination { target, from: first.len() + 1, is_grpc })
    }

    /// The services, by name.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.services.values()
    }
}

fn counting(limit: RateLimit, shared: Option<&Arc<dyn SharedLimiter>>) -> Counting {
    let settings = rate_limit::Settings::new(limit.requests.get(), limit.window);
    Counting {
        settings: settings.with_max_bytes(limit.max_bytes),
        algorithm: limit.algorithm,
        by_name: limit.key != LimitKey::Address,
        shared: shared.map(|shared| (Arc::clone(shared), limit.on_outage)),
    }
}

/// Where a path leads.
///
/// `/user-service/users/1` is `/users/1` at `user-service`. A gRPC path of a listed gRPC service
/// needs no service in front and is passed on whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'t> {
    pub(crate) target: &'t Arc<Target>,
    /// Where the part of the path begins that the service gets.
    pub(crate) from: usize,
    /// Whether it is a call of a gRPC service that is listed, not only one that says so.
    pub(crate) is_grpc: bool,
}
