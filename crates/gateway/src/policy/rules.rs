//! The settings compiled into what requests are decided by; immutable, swapped whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use regatta_auth::{KeyRing, RequireRole};
use regatta_traffic::route::{Found, Table};

use super::{Authenticator, Limiter};
use crate::upstream::{Target, Upstream};
use crate::{Access, InvalidSettings, Limits, Network, RateLimit, Route, Settings, Timeouts};

/// What requests are decided by.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) trusted: Vec<Network>,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) authenticator: Option<Authenticator>,
    services: HashMap<Box<str>, Arc<Target>>,
    grpc: HashMap<Box<str>, Arc<Target>>,
    /// What the limiter was made of.
    rate_limit: Option<RateLimit>,
    /// The limits of the routes that have one.
    route_limits: Vec<RouteLimit>,
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
    /// Only instances of this version will do; none for any.
    pub(crate) version: Option<Arc<str>>,
    /// Which of the routes' limits is its own.
    pub(super) limit: Option<usize>,
}

/// The limit of a route.
#[derive(Debug)]
struct RouteLimit {
    /// Which route: what it counted is kept when the rules change.
    of: (String, Vec<String>),
    /// What the counter was made of.
    limit: RateLimit,
    limiter: Limiter,
}

impl RouteLimit {
    fn try_new(
        route: &Route,
        limit: &RateLimit,
        before: Option<&Rules>,
    ) -> Result<Self, InvalidSettings> {
        let of = (route.path.clone(), route.methods.clone());
        let is_same = |known: &&Self| known.of == of && known.limit == *limit;
        let kept = before.and_then(|rules| rules.route_limits.iter().find(is_same));
        let kept = kept.map(|known| &known.limiter);
        let limiter = Limiter::try_new(limit, route.shared_limit.as_ref(), kept)?;
        Ok(Self { of, limit: limit.clone(), limiter })
    }
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
        let (mut routes, mut route_limits) = (Table::builder(), Vec::new());
        for route in &settings.routes {
            let limit = match &route.rate_limit {
                None => None,
                Some(limit) => {
                    route_limits.push(RouteLimit::try_new(route, limit, before)?);
                    Some(route_limits.len() - 1)
                }
            };
            let rule = Rule {
                name: route.path.as_str().into(),
                access: route.access,
                roles: (!route.roles.is_empty())
                    .then(|| RequireRole::any(route.roles.iter().map(String::as_str))),
                timeout: route.timeout,
                version: route.version.as_deref().map(Arc::from),
                limit,
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
        let limiter = match &settings.rate_limit {
            None => None,
            Some(limit) => {
                let kept = same_limit.and_then(|rules| rules.limiter.as_ref());
                Some(Limiter::try_new(limit, settings.shared_limit.as_ref(), kept)?)
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
            version: None,
            limit: None,
        };
        Ok(Self {
            limits: settings.limits,
            timeouts: settings.timeouts,
            trusted: settings.trusted_hops.clone(),
            limiter,
            authenticator,
            rate_limit: settings.rate_limit.clone(),
            route_limits,
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

    /// The limit of a route, by its number.
    pub(crate) fn route_limit(&self, number: usize) -> Option<&Limiter> {
        self.route_limits.get(number).map(|limit| &limit.limiter)
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
