//! Which processes make the system that a manifest describes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regatta_manifest::{Health, Keys, Manifest, PlannedInstance, Service};

use crate::part::{Kind, Part, Port, Run};
use crate::supervisor::folder;

/// The control plane's name among the parts, and what services need.
const CONTROL_PLANE: &str = "control-plane";
/// The gateway's name among the parts.
const GATEWAY: &str = "gateway";

/// The processes of one system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The system's name.
    pub name: String,
    /// The manifest, as an absolute path.
    pub manifest: PathBuf,
    /// Stands in development tokens as `iss`.
    pub issuer: Option<String>,
    /// Stands in tokens as `aud`; services refuse a token for another.
    pub audience: Option<String>,
    /// Where the keys are that tokens are verified with, beside or in place of the secret: an
    /// absolute path or a URL.
    pub keys: Option<String>,
    /// Whether tokens of the development secret are believed.
    pub trusts_secret: bool,
    /// What clients of the control plane trust its certificate by: an absolute path.
    pub registry_ca: Option<PathBuf>,
    /// Whether all ports are free ones.
    pub isolated: bool,
    /// Shares of the traffic of each service's versions, as the variables that the clients of the
    /// chassis read: `CLIENT__SERVICES__USER_SERVICE__VERSIONS` is `v1=90,v2=10`.
    pub weights: BTreeMap<String, String>,
    /// All processes.
    pub parts: Vec<Part>,
}

/// The manifest cannot run on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A service runs from a container image.
    #[error(
        "{manifest}:{line}: service `{service}` runs from image `{image}`, and `up` runs processes \
         only; give it run.cargo or run.command"
    )]
    Image {
        /// The manifest.
        manifest: String,
        /// Where the service stands in it.
        line: u32,
        /// The service.
        service: String,
        /// The image.
        image: String,
    },
}

impl Plan {
    /// Plans the control plane, every instance of every service, and the gateway.
    ///
    /// `path` is the manifest's absolute path; `isolated` gives every part free ports.
    ///
    /// # Errors
    ///
    /// [`PlanError`] when a service is no process.
    pub fn try_new(manifest: &Manifest, path: &Path, isolated: bool) -> Result<Self, PlanError> {
        let port = |port: u16, key: &str| match isolated {
            true => Port::Free,
            false => Port::Fixed { port, key: key.to_owned() },
        };
        let mut parts = vec![control_plane(&manifest.control_plane, path, &port)];
        for service in manifest.start_order() {
            let run = run(service, path)?;
            let part = |instance| service_part(service, &run, &instance, &port);
            parts.extend(service.instances().map(part));
        }
        let mut gateway = gateway(&manifest.gateway, &port);
        // Started when the registry lists them, it knows them with its first request.
        gateway.needs.extend(manifest.services.iter().map(|service| service.name.to_string()));
        parts.push(gateway);
        let auth = manifest.gateway.auth.as_ref();
        Ok(Self {
            name: manifest.name.clone(),
            manifest: path.to_owned(),
            issuer: auth.map(|auth| auth.issuer.clone()),
            audience: auth.and_then(|auth| auth.audience.clone()),
            keys: auth.and_then(|auth| auth.keys.as_ref()).map(|keys| location(keys, path)),
            trusts_secret: auth.is_none_or(|auth| auth.secret),
            registry_ca: manifest
                .control_plane
                .tls
                .as_ref()
                .and_then(|tls| tls.ca.as_ref().map(|ca| folder(path).join(ca))),
            isolated,
            weights: manifest.services.iter().filter_map(weights).collect(),
            parts,
        })
    }

    /// The cargo packages to be built.
    pub fn packages(&self) -> BTreeSet<String> {
        let package = |part: &Part| match &part.run {
            Run::Cargo { package } => Some(package.clone()),
            Run::Command { .. } | Run::Regatta { .. } => None,
        };
        self.parts.iter().filter_map(package).collect()
    }
}

fn part(name: &str, kind: Kind, run: Run, host: String, port: Port) -> Part {
    Part {
        name: name.to_owned(),
        service: name.to_owned(),
        kind,
        run,
        version: None,
        needs: vec![CONTROL_PLANE.to_owned()],
        host,
        port,
        admin: None,
        etcd: None,
        dns: None,
        tls: false,
        health: Health::of_chassis(),
        register: false,
        is_listed: false,
        database: false,
        environment: Default::default(),
    }
}

fn regatta(arguments: &[&str]) -> Run {
    Run::Regatta { arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect() }
}

fn control_plane(
    control_plane: &regatta_manifest::ControlPlane,
    manifest: &Path,
    port: &impl Fn(u16, &str) -> Port,
) -> Part {
    let listen = control_plane.listen;
    let mut run = regatta(&[
        "control",
        "--manifest",
        "{manifest}",
        "--listen",
        "{listen}",
        "--etcd-listen",
        "{etcd}",
        "--dns-listen",
        "{dns}",
        "--store",
        "{data}",
    ]);
    if let Run::Regatta { arguments } = &mut run {
        arguments.extend(guards(control_plane, &folder(manifest)));
    }
    let chosen = port(listen.port(), "control_plane.listen in the manifest");
    let mut part = part(CONTROL_PLANE, Kind::ControlPlane, run, listen.ip().to_string(), chosen);
    part.etcd = control_plane.etcd_listen.map(|etcd| {
        let chosen = port(etcd.port(), "control_plane.etcd_listen in the manifest");
        (etcd.ip().to_string(), chosen)
    });
    part.dns = control_plane.dns_listen.map(|dns| {
        let chosen = port(dns.port(), "control_plane.dns_listen in the manifest");
        (dns.ip().to_string(), chosen)
    });
    part.needs.clear();
    // Not ready when it cannot write; it would lose what it is told.
    part.health = Health::Http { path: "/health/ready".to_owned() };
    if control_plane.tls.is_some() {
        part.tls = true;
        // It opens its store before its port, and whoever is to be registered waits for more.
        part.health = Health::Tcp;
    }
    part
}

/// The arguments that say who is let in, and with which certificates.
fn guards(control_plane: &regatta_manifest::ControlPlane, folder: &Path) -> Vec<String> {
    let tls = control_plane.tls.as_ref();
    let files = [
        ("--access", control_plane.access.as_ref()),
        ("--tls-cert", tls.map(|tls| &tls.certificate)),
        ("--tls-key", tls.map(|tls| &tls.key)),
        ("--tls-client-ca", tls.and_then(|tls| tls.client_ca.as_ref())),
    ];
    let given = files.into_iter().filter_map(|(flag, file)| Some((flag, file?)));
    given
        .flat_map(|(flag, file)| [flag.to_owned(), folder.join(file).display().to_string()])
        .collect()
}

fn gateway(gateway: &regatta_manifest::Gateway, port: &impl Fn(u16, &str) -> Port) -> Part {
    let run = regatta(&["gateway", "--manifest", "{manifest}", "--listen", "{listen}"]);
    let chosen = port(gateway.listen.port(), "gateway.listen in the manifest");
    let mut part = part(GATEWAY, Kind::Gateway, run, gateway.listen.ip().to_string(), chosen);
    if let Some(admin) = gateway.admin {
        let chosen = port(admin.port(), "gateway.admin in the manifest");
        part.admin = Some((admin.ip().to_string(), chosen));
        if let Run::Regatta { arguments } = &mut part.run {
            arguments.extend(["--admin".to_owned(), "{admin}".to_owned()]);
        }
    }
    part
}

/// Where keys are, for a process that may run in another folder.
fn location(keys: &Keys, manifest: &Path) -> String {
    match keys {
        Keys::Url(url) => url.clone(),
        Keys::File(file) => folder(manifest).join(file).display().to_string(),
    }
}

fn run(service: &Service, path: &Path) -> Result<Run, PlanError> {
    Ok(match &service.run {
        regatta_manifest::Run::Cargo { package } => Run::Cargo { package: package.clone() },
        regatta_manifest::Run::Command { argv } => {
            let (program, arguments) = argv.split_first().expect("the manifest checks the program");
            Run::Command { program: program.clone(), arguments: arguments.to_vec() }
        }
        regatta_manifest::Run::Image { reference } => {
            return Err(PlanError::Image {
                manifest: path.display().to_string(),
                line: service.line,
                service: service.name.to_string(),
                image: reference.clone(),
            });
        }
    })
}

fn service_part(
    service: &Service,
    run: &Run,
    instance: &PlannedInstance<'_>,
    port: &impl Fn(u16, &str) -> Port,
) -> Part {
    let key = format!("services.{}.port in the manifest", service.name);
    let chosen = service.port.map_or(Port::Free, |wish| port(wish.get(), &key));
    let host = "127.0.0.1".to_owned();
    let mut part = part(&instance.id, Kind::Service, run.clone(), host, chosen);
    part.service = service.name.to_string();
    part.version = instance.version.map(str::to_owned);
    part.needs.extend(service.needs.iter().map(ToString::to_string));
    part.database = service.database;
    part.environment = service.env.iter().cloned().collect();
    part.health = service.health.clone();
    part.register = service.register;
    let is_unregistered = |(name, value): &(String, String)| {
        name == "REGISTRY__REGISTER" && value == "false" || name == "REGISTRY__URL"
    };
    part.is_listed = service.register || !service.env.iter().any(is_unregistered);
    // Only the chassis listens there.
    part.admin = (!service.register).then(|| (part.host.clone(), Port::Free));
    part
}

/// The variable that tells clients a service's canary weights; none when all instances are alike.
fn weights(service: &Service) -> Option<(String, String)> {
    if service.versions.is_empty() {
        return None;
    }
    let name = service.name.as_str().to_uppercase().replace('-', "_");
    let shares: Vec<String> = service
        .versions
        .iter()
        .map(|version| format!("{}={}", version.label, version.weight))
        .collect();
    Some((format!("CLIENT__SERVICES__{name}__VERSIONS"), shares.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "
name: shop
services:
  order:
    run: { command: [node, order.js] }
    needs: [user]
    port: 9000
    env: { LOG: debug }
  user:
    run: { cargo: user-service }
    database: true
    versions: { v1: 90, v2: 10 }
gateway:
  listen: 127.0.0.1:8000
  auth: { issuer: dev, audience: shop }
";

    #[test]
    fn every_instance_is_a_process_of_its_own() {
        let plan = plan(SHOP, false).unwrap();
        let names: Vec<_> = plan.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["control-plane", "user-1", "user-2", "order-1", "gateway"]);
        assert_eq!(plan.parts[2].version.as_deref(), Some("v2"));
        assert_eq!(plan.parts[2].service, "user");
        assert!(plan.parts[2].database && !plan.parts[3].database);
        assert_eq!(plan.parts[3].needs, ["control-plane", "user"]);
        assert_eq!(plan.parts[3].environment["LOG"], "debug");
        assert_eq!(plan.issuer.as_deref(), Some("dev"));
        assert_eq!(plan.audience.as_deref(), Some("shop"));
        assert_eq!(plan.packages(), BTreeSet::from(["user-service".to_owned()]));
    }

    #[test]
    fn who_registers_itself_has_an_admin_port_and_the_others_are_registered() {
        let plan = plan(SHOP, false).unwrap();
        let of = |name: &str| plan.parts.iter().find(|part| part.name == name).unwrap();
        assert!(!of("user-1").register && of("order-1").register);
        assert_eq!(of("user-1").health, Health::of_chassis());
        assert_eq!(of("order-1").health, Health::Tcp);
        assert_eq!(of("user-1").admin, Some(("127.0.0.1".to_owned(), Port::Free)));
        assert_eq!(of("order-1").admin, None);
    }

    #[test]
    fn services_are_told_where_the_keys_are_that_the_gateway_verifies_with() {
        let plan = |auth: &str| plan(&SHOP.replace("issuer: dev", auth), false).unwrap();
        let told = |auth: &str| (plan(auth).keys, plan(auth).trusts_secret);
        assert_eq!(told("issuer: dev"), (None, true));
        let file = "issuer: idp, keys: { file: keys.json }";
        assert_eq!(told(file), (Some("/shop/keys.json".to_owned()), false));
        let url = "issuer: idp, secret: true, keys: { url: https://idp/keys }";
        assert_eq!(told(url), (Some("https://idp/keys".to_owned()), true));
    }

    #[test]
    fn the_control_plane_is_told_who_is_let_in_and_its_clients_whom_to_trust() {
        let tls = "tls: { cert: c.pem, key: /k.pem, ca: ca.pem, client_ca: clients.pem }";
        let text = format!("{SHOP}control_plane: {{ access: access.yaml, {tls} }}\n");
        let guarded = plan(&text, false).unwrap();
        let Run::Regatta { arguments } = &guarded.parts[0].run else { panic!("ours") };
        let flags = "--access /shop/access.yaml --tls-cert /shop/c.pem --tls-key /k.pem \
                     --tls-client-ca /shop/clients.pem";
        assert!(arguments.join(" ").ends_with(flags), "{arguments:?}");
        assert!(guarded.parts[0].tls && !guarded.parts[1].tls);
        assert_eq!(guarded.parts[0].health, Health::Tcp);
        assert_eq!(guarded.registry_ca, Some("/shop/ca.pem".into()));
        let open = plan(SHOP, false).unwrap();
        assert_eq!((open.parts[0].tls, open.registry_ca), (false, None));
    }

    #[test]
    fn the_gateway_starts_after_the_services_it_sends_to() {
        let plan = plan(SHOP, false).unwrap();
        let needs: Vec<_> = plan.parts[4].needs.iter().map(String::as_str).collect();
        assert_eq!(needs, ["control-plane", "order", "user"]);
    }

    #[test]
    fn every_service_is_waited_for_in_the_registry_but_one_that_was_told_to_stay_out() {
        let listed = |env: &str| {
            let plan = plan(&SHOP.replace("    database: true", env), false).unwrap();
            plan.parts.iter().map(|part| part.is_listed).collect::<Vec<_>>()
        };
        assert_eq!(listed("    database: true"), [false, true, true, true, false]);
        let out = listed("    env: { REGISTRY__REGISTER: \"false\" }");
        assert_eq!(out, [false, false, false, true, false]);
        let elsewhere = listed("    env: { REGISTRY__URL: none }");
        assert_eq!(elsewhere, [false, false, false, true, false]);
        assert!(listed("    env: { REGISTRY__REGISTER: \"true\" }")[1]);
    }

    #[test]
    fn weights_are_told_in_the_words_of_the_client() {
        let plan = plan(&SHOP.replace("  user:", "  user-service:").replace("[user]", "[]"), false);
        let weights = plan.unwrap().weights.into_iter().collect::<Vec<_>>();
        let name = "CLIENT__SERVICES__USER_SERVICE__VERSIONS".to_owned();
        assert_eq!(weights, [(name, "v1=90,v2=10".to_owned())]);
    }

    #[test]
    fn ports_of_the_manifest_hold_and_the_others_are_free() {
        let plan = plan(SHOP, false).unwrap();
        let ports: Vec<_> = plan.parts.iter().map(|part| part.port.clone()).collect();
        let fixed = |port, key: &str| Port::Fixed { port, key: format!("{key} in the manifest") };
        let expected = [
            fixed(8500, "control_plane.listen"),
            Port::Free,
            Port::Free,
            fixed(9000, "services.order.port"),
            fixed(8000, "gateway.listen"),
        ];
        assert_eq!(ports, expected);
        let etcd = plan.parts[0].etcd.clone().unwrap();
        assert_eq!(etcd, ("127.0.0.1".to_owned(), fixed(2379, "control_plane.etcd_listen")));
        let dns = plan.parts[0].dns.clone().unwrap();
        assert_eq!(dns, ("127.0.0.1".to_owned(), fixed(8600, "control_plane.dns_listen")));
        let admin = plan.parts[4].admin.clone().unwrap();
        assert_eq!(admin, ("127.0.0.1".to_owned(), fixed(9901, "gateway.admin")));
    }

    #[test]
    fn an_isolated_system_has_no_fixed_port() {
        let plan = plan(SHOP, true).unwrap();
        assert!(plan.parts.iter().all(|part| part.port == Port::Free));
        assert_eq!(plan.parts[0].etcd.as_ref().unwrap().1, Port::Free);
        assert_eq!(plan.parts[0].dns.as_ref().unwrap().1, Port::Free);
        assert_eq!(plan.parts[4].admin.as_ref().unwrap().1, Port::Free);
    }

    #[test]
    fn the_gateway_without_an_admin_address_gets_none() {
        let text = SHOP.replace("  auth:", "  admin: none\n  auth:");
        let plan = plan(&text, true).unwrap();
        let Run::Regatta { arguments } = &plan.parts[4].run else { panic!("not regatta") };
        assert_eq!(plan.parts[4].admin, None);
        assert!(!arguments.contains(&"--admin".to_owned()));
    }

    #[test]
    fn an_image_cannot_be_run_and_the_line_is_named() {
        let text = SHOP.replace("{ command: [node, order.js] }", "{ image: acme/order }");
        let error = plan(&text, false).unwrap_err().to_string();
        assert!(error.starts_with("/shop/regatta.yaml:4: service `order`"), "{error}");
        assert!(error.contains("run.command"), "{error}");
    }

    fn plan(text: &str, isolated: bool) -> Result<Plan, PlanError> {
        let manifest = Manifest::parse(text, "regatta.yaml").unwrap();
        Plan::try_new(&manifest, Path::new("/shop/regatta.yaml"), isolated)
    }
}
