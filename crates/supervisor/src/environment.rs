//! What a part is told when it starts: its variables and arguments.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::address::{Address, join};
use crate::layout::Layout;
use crate::part::{Kind, Part, Run};

/// What is the same for all parts of a system.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) layout: Layout,
    pub(crate) manifest: PathBuf,
    /// Where services register, such as `http://127.0.0.1:8500`.
    pub(crate) registry: Option<String>,
    /// Where configuration is kept, such as `http://127.0.0.1:2379`.
    pub(crate) config_center: Option<String>,
    /// What both are trusted by; none where the machine trusts them, or there is no TLS.
    pub(crate) registry_ca: Option<PathBuf>,
    /// Signs tokens; none when tokens of the development secret are not believed.
    pub(crate) secret: Option<String>,
    /// Where the keys are that verify tokens.
    pub(crate) keys: Option<String>,
    /// The event bus that all services share.
    pub(crate) events: String,
    /// Stands in tokens as `iss`.
    pub(crate) issuer: Option<String>,
    /// Stands in tokens as `aud`.
    pub(crate) audience: Option<String>,
    /// Canary weights, as variables.
    pub(crate) weights: BTreeMap<String, String>,
}

/// Variables of the supervisor's own environment that a part must not see: they would send it to
/// another service's database or port, give it another's name, or have it believe other tokens than
/// the gateway does.
pub(crate) const WITHHELD: [&str; 21] = [
    "DATABASE_URL",
    "DATABASE__URL",
    "PORT",
    "SERVER__PORT",
    "HOST",
    "SERVER__HOST",
    "REGATTA_INSTANCE",
    "SERVICE__INSTANCE",
    "SERVICE__ADVERTISE",
    "REGATTA_CONFIG_SHOW",
    "AUTH__SECRET",
    "AUTH__KEYS",
    "AUTH__PUBLIC_KEY",
    "AUTH__ISSUER",
    "AUTH__AUDIENCE",
    "REGISTRY__URL",
    "REGISTRY__REGISTER",
    "CONFIG_CENTER__URL",
    "ADMIN_LISTEN",
    "ADMIN__LISTEN",
    "OTEL_SERVICE_NAME",
];

/// The variables a part starts with.
///
/// What the manifest sets wins, but for the address and the instance id: there the supervisor's
/// knowledge is the truth.
pub(crate) fn environment(
    part: &Part,
    address: &Address,
    facts: &Facts,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
    // People read the lines as they come; the manifest may ask for json.
    set("LOG__FORMAT", "text".to_owned());
    if let Some(registry) = &facts.registry {
        set("CONSUL_HTTP_ADDR", registry.clone());
    }
    if let Some(config_center) = &facts.config_center {
        set("ETCDCTL_ENDPOINTS", config_center.clone());
    }
    if let Some(ca) = &facts.registry_ca {
        set("CONSUL_CACERT", ca.display().to_string());
        set("ETCDCTL_CACERT", ca.display().to_string());
    }
    if part.kind != Kind::ControlPlane {
        if let Some(secret) = &facts.secret {
            set("AUTH__SECRET", secret.clone());
        }
        if let Some(keys) = &facts.keys {
            set("AUTH__KEYS", keys.clone());
        }
        if let Some(issuer) = &facts.issuer {
            set("AUTH__ISSUER", issuer.clone());
        }
        // A verifier without one refuses tokens that name one.
        if let Some(audience) = &facts.audience {
            set("AUTH__AUDIENCE", audience.clone());
        }
    }
    if let Some(version) = &part.version {
        set("SERVICE__VERSION", version.clone());
    }
    if part.database {
        let file = facts.layout.database_file(&part.service);
        set("DATABASE_URL", format!("sqlite://{}", file.display()));
    }
    if part.kind == Kind::Service {
        set("EVENTS_URL", facts.events.clone());
        // A service that calls nobody does not read them.
        facts.weights.iter().for_each(|(name, value)| {
            set(name, value.clone());
        });
    }
    if part.register {
        // One of the chassis that is registered by us must not do it too, under the same id.
        set("REGISTRY__REGISTER", "false".to_owned());
        set("OTEL_SERVICE_NAME", part.service.clone());
        set("OTEL_RESOURCE_ATTRIBUTES", resource(part));
    }
    variables.extend(part.environment.clone());
    let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
    if part.kind == Kind::Service {
        set("HOST", address.host.clone());
        set("PORT", address.port.to_string());
        if let Some((host, port)) = &address.admin {
            set("ADMIN_LISTEN", join(host, *port));
        }
    }
    set("REGATTA_INSTANCE", part.name.clone());
    variables
}

/// The bus of all services: the one that `up` itself was told of, or a file that they share.
pub(crate) fn events_url(layout: &Layout, told: Option<String>) -> String {
    let own = || format!("sqlite://{}", layout.events_file().display());
    told_bus(told).unwrap_or_else(own)
}

/// The bus that `up` itself was told of.
pub(crate) fn told_bus(told: Option<String>) -> Option<String> {
    told.filter(|url| !url.trim().is_empty())
}

/// What an OpenTelemetry SDK adds to all it sends: what `up` was started with, and who this is.
fn resource(part: &Part) -> String {
    let inherited = std::env::var("OTEL_RESOURCE_ATTRIBUTES").ok();
    let version = part.version.iter().map(|version| format!("service.version={version}"));
    let own = std::iter::once(format!("service.instance.id={}", part.name)).chain(version);
    let all = inherited.into_iter().filter(|text| !text.is_empty()).chain(own);
    all.collect::<Vec<_>>().join(",")
}

/// The arguments a part starts with.
pub(crate) fn arguments(part: &Part, address: &Address, facts: &Facts) -> Vec<String> {
    match &part.run {
        Run::Cargo { .. } => Vec::new(),
        Run::Command { arguments, .. } => arguments.clone(),
        Run::Regatta { arguments } => {
            let fill = |argument: &String| match argument.as_str() {
                "{listen}" => join(&address.host, address.port),
                "{admin}" => address.admin.as_ref().map_or(String::new(), |(h, p)| join(h, *p)),
                "{etcd}" => address.etcd.as_ref().map_or("none".to_owned(), |(h, p)| join(h, *p)),
                "{dns}" => address.dns.as_ref().map_or("none".to_owned(), |(h, p)| join(h, *p)),
                "{data}" => facts.layout.data(&part.service).display().to_string(),
                "{manifest}" => facts.manifest.display().to_string(),
                other => other.to_owned(),
            };
            arguments.iter().map(fill).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::part::tests::part;

    #[test]
    fn a_service_is_told_the_whole_contract() {
        let mut part = part("user-service-1", &[]);
        part.service = "user-service".to_owned();
        part.database = true;
        part.version = Some("v2".to_owned());
        let variables = environment(&part, &address(), &facts());
        let expected = [
            ("ADMIN_LISTEN", "[::1]:2"),
            ("AUTH__AUDIENCE", "shop"),
            ("AUTH__ISSUER", "dev"),
            ("AUTH__SECRET", "s3cret"),
            ("CLIENT__SERVICES__A__VERSIONS", "v1=90,v2=10"),
            ("CONSUL_HTTP_ADDR", "http://127.0.0.1:8500"),
            ("DATABASE_URL", "sqlite:///shop/.regatta/data/user-service/user-service.db"),
            ("ETCDCTL_ENDPOINTS", "http://127.0.0.1:2379"),
            ("EVENTS_URL", "sqlite:///shop/.regatta/data/events/events.db"),
            ("HOST", "127.0.0.1"),
            ("LOG__FORMAT", "text"),
            ("PORT", "20001"),
            ("REGATTA_INSTANCE", "user-service-1"),
            ("SERVICE__VERSION", "v2"),
        ];
        let told: Vec<_> = variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn who_is_registered_by_us_is_told_not_to_and_who_it_is() {
        let mut part = part("web-1", &[]);
        (part.service, part.register) = ("web".to_owned(), true);
        part.version = Some("v1".to_owned());
        let variables = environment(&part, &Address { admin: None, ..address() }, &facts());
        assert_eq!(variables["REGISTRY__REGISTER"], "false");
        assert_eq!(variables["OTEL_SERVICE_NAME"], "web");
        let attributes = &variables["OTEL_RESOURCE_ATTRIBUTES"];
        assert!(attributes.ends_with("service.instance.id=web-1,service.version=v1"));
        assert!(!variables.contains_key("ADMIN_LISTEN"));
    }

    #[test]
    fn the_manifest_chooses_all_but_the_address() {
        let mut part = part("a", &[]);
        part.database = true;
        let own = [("DATABASE_URL", "postgres://x"), ("PORT", "1"), ("LOG__LEVEL", "debug")];
        part.environment = own.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let variables = environment(&part, &address(), &facts());
        assert_eq!(variables["DATABASE_URL"], "postgres://x");
        assert_eq!(variables["LOG__LEVEL"], "debug");
        assert_eq!(variables["PORT"], "20001");
    }

    #[test]
    fn services_share_one_bus_and_up_may_be_told_of_another() {
        let layout = Layout::beside(Path::new("/shop/regatta.yaml"));
        let own = "sqlite:///shop/.regatta/data/events/events.db";
        assert_eq!(events_url(&layout, None), own);
        assert_eq!(events_url(&layout, Some(" ".to_owned())), own);
        assert_eq!(events_url(&layout, Some("postgres://b/e".to_owned())), "postgres://b/e");
    }

    #[test]
    fn who_speaks_to_the_control_plane_is_told_whom_to_trust() {
        let facts = Facts { registry_ca: Some("/shop/ca.pem".into()), ..facts() };
        let variables = environment(&part("a", &[]), &address(), &facts);
        assert_eq!(variables["CONSUL_CACERT"], "/shop/ca.pem");
        assert_eq!(variables["ETCDCTL_CACERT"], "/shop/ca.pem");
    }

    #[test]
    fn the_control_plane_does_not_learn_the_secret() {
        let mut part = part("control-plane", &[]);
        part.kind = Kind::ControlPlane;
        assert!(!environment(&part, &address(), &facts()).contains_key("AUTH__SECRET"));
    }

    #[test]
    fn keys_of_an_issuer_are_told_and_the_secret_only_where_it_is_believed() {
        let mut facts = facts();
        (facts.keys, facts.secret) = (Some("/shop/keys.json".to_owned()), None);
        let variables = environment(&part("a", &[]), &address(), &facts);
        assert_eq!(variables["AUTH__KEYS"], "/shop/keys.json");
        assert!(!variables.contains_key("AUTH__SECRET"));
        for variable in ["AUTH__SECRET", "AUTH__KEYS", "AUTH__PUBLIC_KEY", "AUTH__ISSUER"] {
            assert!(WITHHELD.contains(&variable), "{variable} of the shell would be believed");
        }
    }

    #[test]
    fn placeholders_are_filled_once_ports_are_chosen() {
        let mut part = part("gateway", &[]);
        let words =
            ["gateway", "--listen", "{listen}", "--admin", "{admin}", "{etcd}", "{manifest}"];
        part.run = Run::Regatta { arguments: words.map(str::to_owned).to_vec() };
        let expected =
            ["gateway", "--listen", "127.0.0.1:20001", "--admin", "[::1]:2", "127.0.0.1:2379"];
        let filled = arguments(&part, &address(), &facts());
        assert_eq!(filled, [&expected[..], &["/shop/regatta.yaml"]].concat());
        let without = Address { etcd: None, ..address() };
        assert_eq!(arguments(&part, &without, &facts())[5], "none");
    }

    fn address() -> Address {
        let admin = Some(("::1".to_owned(), 2));
        let etcd = Some(("127.0.0.1".to_owned(), 2379));
        Address { host: "127.0.0.1".to_owned(), port: 20001, admin, etcd, dns: None, tls: false }
    }

    fn facts() -> Facts {
        Facts {
            layout: Layout::beside(Path::new("/shop/regatta.yaml")),
            manifest: "/shop/regatta.yaml".into(),
            registry: Some("http://127.0.0.1:8500".to_owned()),
            config_center: Some("http://127.0.0.1:2379".to_owned()),
            registry_ca: None,
            secret: Some("s3cret".to_owned()),
            keys: None,
            events: events_url(&Layout::beside(Path::new("/shop/regatta.yaml")), None),
            issuer: Some("dev".to_owned()),
            audience: Some("shop".to_owned()),
            weights: [("CLIENT__SERVICES__A__VERSIONS", "v1=90,v2=10")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        }
    }
}
