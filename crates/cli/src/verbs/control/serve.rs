//! The control plane, as a process of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use regatta_control_plane::{ControlPlane, Settings, TlsSettings};

use crate::failure::Failure;
use crate::system::Place;
use crate::verbs::{open_files, serving};

/// How it runs.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where Consul's HTTP API listens. Default: the manifest's, or 127.0.0.1:8500.
    #[arg(long, visible_alias = "consul-listen", value_name = "ADDRESS", env = "CONSUL_LISTEN")]
    listen: Option<SocketAddr>,
    /// The address at which services are found that register without one, and this control plane.
    /// Default: the manifest's, or that of --listen; with 0.0.0.0 the one from which this machine
    /// reaches others.
    #[arg(long, value_name = "IP", env = "CONTROL_ADVERTISE")]
    advertise: Option<IpAddr>,
    /// Where etcd's gRPC API listens, or none. Default: the manifest's, or 127.0.0.1:2379.
    #[arg(long, value_name = "ADDRESS", env = "ETCD_LISTEN")]
    etcd_listen: Option<Listen>,
    /// Where names of services are answered over DNS, UDP and TCP, or none. Default: the manifest's,
    /// or 127.0.0.1:8600.
    #[arg(long, value_name = "ADDRESS", env = "DNS_LISTEN")]
    dns_listen: Option<Listen>,
    /// The folder where it is all kept. Default: data/control-plane in the system's .regatta.
    #[arg(long = "store", value_name = "PATH", env = "CONTROL_STORE")]
    store: Option<PathBuf>,
    /// The datacenter that it says it is to Consul's clients and over DNS. Default: the manifest's,
    /// or dc1.
    #[arg(long, value_name = "NAME", env = "CONTROL_DATACENTER")]
    datacenter: Option<String>,
    /// The node that services are registered on. Default: the manifest's, or regatta.
    #[arg(long, value_name = "NAME", env = "CONTROL_NODE_NAME")]
    node_name: Option<String>,
    /// A limit, such as etcd.max_leases=1000 or etcd.quota_bytes=4GiB; may be repeated, or be a list
    /// with commas. Comes before the manifest's.
    #[arg(
        long = "limit",
        value_name = "NAME=VALUE",
        env = "CONTROL_LIMITS",
        value_delimiter = ','
    )]
    limits: Vec<NamedLimit>,
    /// Tokens, users and their rules, in YAML; read again when it changes. Needed to listen on
    /// another address than loopback. Default: the manifest's, or none.
    #[arg(long, value_name = "FILE", env = "CONTROL_ACCESS")]
    access: Option<PathBuf>,
    /// The certificate of both interfaces, in PEM; read again when it changes. Default:
    /// the manifest's, or no TLS.
    #[arg(long, value_name = "FILE", env = "CONTROL_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", env = "CONTROL_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Whose certificates clients must present, in PEM. Default: they present none.
    #[arg(long, value_name = "FILE", env = "CONTROL_TLS_CLIENT_CA", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
}

/// An address, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listen(Option<SocketAddr>);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let address = text.parse();
        address.map(|address| Self(Some(address))).map_err(|_| {
            "it is no address; write an IP address and a port, such as 127.0.0.1:2379, or none"
                .to_owned()
        })
    }
}

/// A limit's name and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedLimit(String, String);

impl FromStr for NamedLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
        let (name, value) =
            parts.ok_or_else(|| "write NAME=VALUE, such as etcd.max_leases=1000".to_owned())?;
        Ok(Self(name.trim().to_owned(), value.trim().to_owned()))
    }
}

impl Serve {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        let telemetry = serving::telemetry("control-plane")?;
        let settings = self.settings(place)?;
        let (etcd, dns) = (&settings.etcd, &settings.dns);
        let etcd = etcd.listen.map_or(0, |_| etcd.max_connections);
        let dns = dns.listen.map_or(0, |_| dns.max_connections);
        // Each check that runs has a connection, too.
        let checks = settings.max_running_checks;
        open_files::allow(settings.max_connections + etcd + dns + checks);
        let control_plane = ControlPlane::bind(settings).await?;
        let control_plane = control_plane.observed(telemetry.clone());
        control_plane.run(serving::drain()?).await;
        telemetry.shutdown().await;
        Ok(())
    }

    fn settings(self, place: &Place) -> Result<Settings, Failure> {
        let (folder, written) = match place.manifest_if_any()? {
            Some((path, manifest)) => (folder(&path), manifest.control_plane),
            None => Default::default(),
        };
        let beside = |path: &PathBuf| folder.join(path);
        let mut settings = Settings::default();
        settings.consul_listen = self.listen.unwrap_or(written.listen);
        settings.advertise = self.advertise.or(written.advertise);
        settings.etcd.listen = self.etcd_listen.unwrap_or(Listen(written.etcd_listen)).0;
        settings.dns.listen = self.dns_listen.unwrap_or(Listen(written.dns_listen)).0;
        if let Some(datacenter) = self.datacenter.or(written.datacenter) {
            settings.datacenter = datacenter;
        }
        if let Some(node_name) = self.node_name.or(written.node_name) {
            settings.node_name = node_name;
        }
        for (name, value) in &written.limits {
            settings.set_limit(name, value).map_err(|error| {
                Failure::usage(format!("control_plane.limits of the manifest: {error}"))
            })?;
        }
        for NamedLimit(name, value) in &self.limits {
            let wrong = |error| Failure::usage(format!("--limit: {error}"));
            settings.set_limit(name, value).map_err(wrong)?;
        }
        settings.access = self.access.or(written.access.as_ref().map(beside));
        settings.tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => {
                let mut tls = TlsSettings::new(certificate, key);
                tls.client_ca = self.tls_client_ca;
                Some(tls)
            }
            _ => written.tls.map(|written| {
                let (certificate, key) = (beside(&written.certificate), beside(&written.key));
                let mut tls = TlsSettings::new(certificate, key);
                tls.client_ca = written.client_ca.as_ref().map(beside);
                tls
            }),
        };
        settings.data_dir = match self.store {
            Some(store) => store,
            None => place.layout_or_here()?.data("control-plane"),
        };
        Ok(settings)
    }
}

/// The folder that paths of a manifest begin in.
fn folder(manifest: &Path) -> PathBuf {
    manifest.parent().unwrap_or(Path::new("")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_none() {
        assert_eq!("none".parse(), Ok(Listen(None)));
        let address = "127.0.0.1:2379".parse().unwrap();
        assert_eq!("127.0.0.1:2379".parse(), Ok(Listen(Some(address))));
        assert!("2379".parse::<Listen>().unwrap_err().contains("or none"));
    }

    #[test]
    fn the_manifest_fills_in_what_is_not_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regatta.yaml");
        let text = "name: shop\nservices: { a: { run: { cargo: a } } }\ncontrol_plane: { listen: \
                    127.0.0.1:18500, advertise: 10.0.0.9, etcd_listen: none, dns_listen: 127.0.0.1:18600, access: \
                    a.yaml, tls: { cert: c.pem, key: /k.pem } }\n";
        std::fs::write(&path, text).unwrap();
        let place = Place::at(path);
        let control = |listen, etcd_listen| Serve {
            listen,
            advertise: None,
            etcd_listen,
            dns_listen: etcd_listen,
            ..nothing()
        };
        let settings = control(None, None).settings(&place).unwrap();
        assert_eq!(settings.consul_listen.port(), 18500);
        assert_eq!(settings.advertise, Some("10.0.0.9".parse().unwrap()));
        assert_eq!(settings.etcd.listen, None);
        assert_eq!(settings.dns.listen.map(|at| at.port()), Some(18600));
        assert!(settings.data_dir.ends_with(".regatta/data/control-plane"));
        let here = std::fs::canonicalize(folder.path()).unwrap();
        assert_eq!(settings.access, Some(here.join("a.yaml")));
        let tls = settings.tls.unwrap();
        assert_eq!((tls.certificate, tls.key), (here.join("c.pem"), "/k.pem".into()));
        let given: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let settings = control(Some(given), Some(Listen(Some(given)))).settings(&place).unwrap();
        assert_eq!((settings.consul_listen, settings.etcd.listen), (given, Some(given)));
        assert_eq!(settings.dns.listen, Some(given));
    }

    #[test]
    fn limits_and_names_are_the_manifests_unless_they_are_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regatta.yaml");
        let text = "name: shop\nservices: { a: { run: { cargo: a } } }\ncontrol_plane:\n  datacenter: \
                    eu\n  node_name: one\n  limits: { etcd.max_leases: 7, max_blocked_queries: 9, \
                    etcd.quota_bytes: 4GiB }\n";
        std::fs::write(&path, text).unwrap();
        let place = Place::at(path.clone());
        let settings = nothing().settings(&place).unwrap();
        assert_eq!((settings.datacenter.as_str(), settings.node_name.as_str()), ("eu", "one"));
        assert_eq!((settings.etcd.max_leases, settings.max_blocked_queries), (7, 9));
        assert_eq!(settings.etcd.quota_bytes, 4 << 30);
        let given = Serve {
            datacenter: Some("us".to_owned()),
            node_name: Some("two".to_owned()),
            limits: vec!["etcd.max_leases=8".parse().unwrap()],
            ..nothing()
        };
        let settings = given.settings(&place).unwrap();
        assert_eq!((settings.datacenter.as_str(), settings.node_name.as_str()), ("us", "two"));
        assert_eq!((settings.etcd.max_leases, settings.max_blocked_queries), (8, 9));

        let wrong = Serve { limits: vec!["max_lease=8".parse().unwrap()], ..nothing() };
        let error = wrong.settings(&place).unwrap_err().to_string();
        assert!(error.contains("--limit: `max_lease` is no limit"), "{error}");
        std::fs::write(&path, text.replace("max_leases: 7", "max_leases: many")).unwrap();
        let error = nothing().settings(&place).unwrap_err().to_string();
        assert!(error.contains("control_plane.limits of the manifest: etcd.max_leases"), "{error}");
    }

    #[test]
    fn limits_may_be_repeated_or_in_one_list() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            serve: Serve,
        }
        let parse = |arguments: &[&str]| {
            let arguments = ["control"].iter().chain(arguments);
            <Command as clap::Parser>::try_parse_from(arguments)
        };
        let limit = |name: &str, value: &str| NamedLimit(name.to_owned(), value.to_owned());
        let both = [limit("max_services", "5"), limit("etcd.history", "2h")];
        for arguments in [
            &["--limit", "max_services=5,etcd.history=2h"][..],
            &["--limit", "max_services=5", "--limit", "etcd.history=2h"],
        ] {
            assert_eq!(parse(arguments).unwrap().serve.limits, both);
        }
        assert!(parse(&["--limit", "max_services"]).is_err());
    }

    /// Nothing is given.
    fn nothing() -> Serve {
        Serve {
            listen: None,
            advertise: None,
            etcd_listen: None,
            dns_listen: None,
            store: None,
            datacenter: None,
            node_name: None,
            limits: Vec::new(),
            access: None,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
        }
    }
}
