//! The manifest's gateway as the gateway's settings.

use std::num::NonZeroUsize;
use std::path::Path;

use regatta_core::Secret;
use regatta_gateway::{
    Access, AccessLog, Auth, Keys, LimitKey, Limits, OnOutage, RateLimit, Route, Service, Settings,
    Timeouts,
};
use regatta_manifest::{Manifest, PerClient, Requirement};
use regatta_resilience::rate_limit::Algorithm;

use super::traffic::traffic;
use crate::failure::Failure;

/// Converts; what the manifest leaves open stays the gateway's default.
pub(super) fn settings(
    manifest: &Manifest,
    folder: &Path,
    secret: Option<Secret>,
) -> Result<Settings, Failure> {
    let from = &manifest.gateway;
    let mut to = Settings::default();
    to.listen = from.listen;
    to.admin = from.admin;
    to.workers = from.workers.map(NonZeroUsize::from);
    let shared = shared_traffic(from);
    to.traffic = traffic(&shared)?;
    let services = manifest.services.iter().map(|it| service(it, &shared));
    to.services = services.collect::<Result<_, _>>()?;
    let routes = from.routes.iter().map(|it| route(it, &from.limits));
    to.routes = routes.collect::<Result<_, _>>()?;
    if let Some(auth) = &from.auth {
        to.auth = Some(self::auth(auth, folder, secret)?);
        to.default_access = access(auth.default);
    }
    to.rate_limit = whole_limit(&from.limits)?;
    to.trusted_hops = from.trusted_hops.iter().map(|hop| hop.parse()).collect::<Result<_, _>>()?;
    limits(&from.limits, &mut to.limits)?;
    timeouts(&from.timeouts, &mut to.timeouts);
    to.access_log = match from.access_log {
        regatta_manifest::AccessLog::Off => AccessLog::Off,
        regatta_manifest::AccessLog::Json => AccessLog::Json,
        regatta_manifest::AccessLog::Text => AccessLog::Text,
    };
    Ok(to)
}

fn auth(
    from: &regatta_manifest::Auth,
    folder: &Path,
    secret: Option<Secret>,
) -> Result<Auth, Failure> {
    let keys = from.keys.as_ref().map(|keys| match keys {
        regatta_manifest::Keys::File(path) => Keys::File(folder.join(path)),
        regatta_manifest::Keys::Url(url) => Keys::Url(url.clone()),
    });
    let missing = "the gateway verifies tokens and has no secret; set AUTH__SECRET to 32 bytes or \
                   more (`regatta up` does)";
    let secret = match from.secret {
        true => Some(secret.ok_or_else(|| Failure::usage(missing))?),
        false => None,
    };
    let mut to = match (secret, keys) {
        (Some(secret), keys) => {
            let mut to = Auth::new(secret);
            to.keys = keys;
            to
        }
        (None, Some(keys)) => Auth::with_keys(keys),
        (None, None) => return Err(Failure::usage(missing)),
    };
    to.issuer = Some(from.issuer.clone());
    to.audience = from.audience.clone();
    Ok(to)
}

/// The rules that all services share.
fn shared_traffic(from: &regatta_manifest::Gateway) -> regatta_manifest::Traffic {
    let mut shared = from.traffic.clone();
    shared.retries = shared.retries.or(from.retries);
    shared
}

fn service(
    from: &regatta_manifest::Service,
    shared: &regatta_manifest::Traffic,
) -> Result<Service, Failure> {
    let mut to = Service::new(from.name.clone());
    to.versions = from.versions.iter().map(|v| (v.label.clone(), v.weight)).collect();
    to.grpc = from.grpc.clone();
    to.timeout = from.timeout;
    if from.traffic != regatta_manifest::Traffic::default() {
        to.traffic = Some(traffic(&from.traffic.or(shared))?);
    }
    Ok(to)
}

/// The limit of all requests, if there is one.
pub(super) fn whole_limit(from: &regatta_manifest::Limits) -> Result<Option<RateLimit>, Failure> {
    let mut to = RateLimit::default();
    match from.per_client {
        None => (),
        Some(PerClient::Unlimited) => return Ok(None),
        Some(PerClient::AtMost(rate)) => (to.requests, to.window) = (rate.count, rate.per),
    }
    if let Some(burst) = from.burst {
        to.algorithm = Algorithm::Gcra { burst };
    }
    shared_limit(from, &mut to)?;
    Ok(Some(to))
}

/// What the limits of the gateway and of its routes have in common.
fn shared_limit(from: &regatta_manifest::Limits, to: &mut RateLimit) -> Result<(), Failure> {
    set(from.key.as_ref().map(limit_key), &mut to.key);
    set(from.on_outage.map(on_outage), &mut to.on_outage);
    set(from.max_bytes.map(usize::try_from).transpose()?, &mut to.max_bytes);
    Ok(())
}

pub(super) fn route_limit(
    from: &regatta_manifest::RouteLimit,
    shared: &regatta_manifest::Limits,
) -> Result<RateLimit, Failure> {
    let mut to = RateLimit::default();
    shared_limit(shared, &mut to)?;
    (to.requests, to.window) = (from.per_client.count, from.per_client.per);
    if let Some(burst) = from.burst {
        to.algorithm = Algorithm::Gcra { burst };
    }
    set(from.key.as_ref().map(limit_key), &mut to.key);
    set(from.on_outage.map(on_outage), &mut to.on_outage);
    set(from.max_bytes.map(usize::try_from).transpose()?, &mut to.max_bytes);
    Ok(to)
}

fn route(
    from: &regatta_manifest::Route,
    limits: &regatta_manifest::Limits,
) -> Result<Route, Failure> {
    let mut to = Route::new(&from.path);
    to.methods = from.methods.clone();
    to.access = access(from.auth);
    to.roles = from.roles.clone();
    to.timeout = from.timeout;
    to.rate_limit = from.rate_limit.as_ref().map(|own| route_limit(own, limits)).transpose()?;
    to.version = from.version.clone();
    Ok(to)
}

fn limit_key(from: &regatta_manifest::LimitKey) -> LimitKey {
    match from {
        regatta_manifest::LimitKey::ClientId => LimitKey::ClientId,
        regatta_manifest::LimitKey::Address => LimitKey::Address,
        regatta_manifest::LimitKey::User => LimitKey::User,
        regatta_manifest::LimitKey::Header(name) => LimitKey::Header(name.clone()),
    }
}

fn on_outage(from: regatta_manifest::OnOutage) -> OnOutage {
    match from {
        regatta_manifest::OnOutage::Admit => OnOutage::Admit,
        regatta_manifest::OnOutage::Refuse => OnOutage::Refuse,
        regatta_manifest::OnOutage::Count => OnOutage::Count,
    }
}

fn access(from: Requirement) -> Access {
    match from {
        Requirement::None => Access::None,
        Requirement::Optional => Access::Optional,
        Requirement::Required => Access::Required,
    }
}

fn limits(from: &regatta_manifest::Limits, to: &mut Limits) -> Result<(), Failure> {
    let counts = [
        (from.connections, &mut to.connections),
        (from.headers, &mut to.headers),
        (from.idle_upstream, &mut to.idle_upstream),
    ];
    for (from, to) in counts {
        set(from.map(usize::try_from).transpose()?, to);
    }
    set(from.header_bytes.map(usize::try_from).transpose()?, &mut to.header_bytes);
    set(from.target_bytes.map(usize::try_from).transpose()?, &mut to.target_bytes);
    set(from.body_bytes, &mut to.body_bytes);
    set(from.http2_streams, &mut to.http2_streams);
    Ok(())
}

fn timeouts(from: &regatta_manifest::Timeouts, to: &mut Timeouts) {
    set(from.header_read, &mut to.header_read);
    set(from.body_idle, &mut to.body_idle);
    set(from.idle, &mut to.idle);
    set(from.upstream_idle, &mut to.upstream_idle);
    set(from.connect, &mut to.connect);
    set(from.request, &mut to.request);
    set(from.drain, &mut to.drain);
    set(from.tunnel_idle, &mut to.tunnel_idle);
}

pub(super) fn set<T>(from: Option<T>, to: &mut T) {
    if let Some(value) = from {
        *to = value;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SHOP: &str = "
name: shop
services:
  user:
    run: { cargo: user }
    versions: { v1: 90, v2: 10 }
    grpc: [a.B]
    timeout: 3s
gateway:
  listen: 127.0.0.1:1234
  admin: none
  auth: { issuer: dev, audience: shop, default: required }
  limits: { per_client: 7/s, key: user, headers: 50, body_bytes: 1KiB }
  timeouts: { connect: 2s }
  retries: 0
  trusted_hops: [10.0.0.0/8]
  access_log: json
  routes:
    - { path: /user/users, methods: [POST], auth: none }
    - { path: /user/admin/**, roles: [admin], timeout: 1s }
";

    #[test]
    fn what_the_manifest_says_reaches_the_gateway() {
        let to = converted(SHOP, Some("x".repeat(40)));
        assert_eq!(to.listen.port(), 1234);
        assert_eq!(to.admin, None);
        let user = &to.services[0];
        assert_eq!(user.versions, [("v1".to_owned(), 90), ("v2".to_owned(), 10)]);
        assert_eq!((&*user.grpc[0], user.timeout), ("a.B", Some(Duration::from_secs(3))));
        let auth = to.auth.as_ref().unwrap();
        assert_eq!((auth.issuer.as_deref(), auth.audience.as_deref()), (Some("dev"), Some("shop")));
        assert_eq!(to.default_access, Access::Required);
        let limit = to.rate_limit.clone().unwrap();
        assert_eq!((limit.requests.get(), limit.window), (7, Duration::from_secs(1)));
        assert_eq!(limit.key, LimitKey::User);
        assert_eq!((to.limits.headers, to.limits.body_bytes), (50, 1024));
        assert_eq!(to.timeouts.connect, Duration::from_secs(2));
        assert_eq!((to.traffic.retry.retries, to.access_log), (0, AccessLog::Json));
        assert!(to.trusted_hops[0].contains("10.1.1.1".parse().unwrap()));
        assert_eq!((to.routes[0].access, &*to.routes[0].methods[0]), (Access::None, "POST"));
        assert_eq!((to.routes[1].access, &*to.routes[1].roles[0]), (Access::Required, "admin"));
        assert_eq!(to.routes[1].timeout, Some(Duration::from_secs(1)));
        to.validate().unwrap();
    }

    #[test]
    fn what_it_leaves_open_stays_the_default() {
        let to = converted("name: a\nservices:\n  user:\n    run: { cargo: user }\n", None);
        let default = Settings::default();
        assert_eq!(to.limits.headers, default.limits.headers);
        assert_eq!(to.timeouts.request, default.timeouts.request);
        assert_eq!(to.rate_limit.unwrap().requests.get(), 60);
        assert!(to.auth.is_none());
    }

    #[test]
    fn a_route_has_a_limit_and_a_version_of_its_own_and_what_it_leaves_open_is_as_for_all() {
        let limits = "per_client: 7/s, key: header:X-Tenant, url: redis://h, on_outage: refuse, \
                      max_bytes: 2MiB, headers: 50";
        let text = SHOP
            .replace("per_client: 7/s, key: user, headers: 50", limits)
            .replace("roles: [admin]", "version: v2, rate_limit: 5/min, roles: [admin]")
            .replace(
                "methods: [POST]",
                "rate_limit: { per_client: 9/s, burst: 3, key: address, on_outage: admit, \
                 max_bytes: 1MiB }",
            );
        let to = converted(&text, Some("x".repeat(40)));
        let whole = to.rate_limit.clone().unwrap();
        let tenant = LimitKey::Header("x-tenant".into());
        assert_eq!((&whole.key, whole.max_bytes), (&tenant, 2 << 20));
        let own = to.routes[0].rate_limit.clone().unwrap();
        assert_eq!((own.requests.get(), own.window), (9, Duration::from_secs(1)));
        assert_eq!((own.key, own.algorithm), (LimitKey::Address, Algorithm::Gcra { burst: 3 }));
        assert_eq!((own.on_outage, own.max_bytes), (OnOutage::Admit, 1 << 20));
        let short = to.routes[1].rate_limit.clone().unwrap();
        assert_eq!((short.requests.get(), short.window), (5, Duration::from_secs(60)));
        assert_eq!((short.key, short.algorithm), (tenant, Algorithm::SlidingWindow));
        assert_eq!((short.on_outage, short.max_bytes), (OnOutage::Refuse, 2 << 20));
        assert_eq!(to.routes[0].version, None);
        assert_eq!(to.routes[1].version.as_deref(), Some("v2"));
        to.validate().unwrap();
    }

    #[test]
    fn a_client_may_be_without_limit() {
        let text = SHOP.replace("7/s", "none").replace("unlimited", "none");
        assert!(converted(&text, Some("x".repeat(40))).rate_limit.is_none());
    }

    #[test]
    fn a_gateway_that_verifies_tokens_needs_a_secret() {
        let manifest = Manifest::parse(SHOP, "regatta.yaml").unwrap();
        assert!(settings(&manifest, Path::new("/etc"), None).is_err());
    }

    #[test]
    fn an_issuers_keys_stand_for_the_secret_unless_both_are_wanted() {
        let keyed = |auth: &str| SHOP.replace("issuer: dev, audience: shop", auth);
        let text = keyed("issuer: idp, keys: { file: keys.json }");
        let auth = converted(&text, Some("x".repeat(40))).auth.unwrap();
        assert_eq!(auth.keys, Some(Keys::File("/etc/keys.json".into())));
        assert!(auth.secret.is_none(), "a secret of the environment verifies nothing unasked");
        let text = keyed("issuer: idp, secret: true, keys: { url: https://idp/keys }");
        let auth = converted(&text, Some("x".repeat(40))).auth.unwrap();
        assert_eq!(auth.keys, Some(Keys::Url("https://idp/keys".into())));
        assert!(auth.secret.is_some());
    }

    fn converted(text: &str, secret: Option<String>) -> Settings {
        let manifest = Manifest::parse(text, "regatta.yaml").unwrap();
        settings(&manifest, Path::new("/etc"), secret.map(Secret::new)).unwrap()
    }
}
