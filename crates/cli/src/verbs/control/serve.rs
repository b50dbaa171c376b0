//! The control plane, as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use regatta_control_plane::{ControlPlane, Settings, TlsSettings};

use crate::failure::Failure;
use crate::system::Place;
use crate::verbs::serving;

/// How it runs.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where Consul's HTTP API listens. Default: the manifest's, or 127.0.0.1:8500.
    #[arg(long, visible_alias = "consul-listen", value_name = "ADDRESS", env = "CONSUL_LISTEN")]
    listen: Option<SocketAddr>,
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
    /// Tokens, users and their rules, in YAML; read again when it changes. Needed to listen on
    /// another address than loopback.
    #[arg(long, value_name = "FILE", env = "CONTROL_ACCESS")]
    access: Option<PathBuf>,
    /// The certificate of both interfaces, in PEM; read again when it changes. Default: no TLS.
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

impl Serve {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        let telemetry = serving::telemetry("control-plane")?;
        let control_plane = ControlPlane::bind(self.settings(place)?).await?;
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
        settings.etcd.listen = self.etcd_listen.unwrap_or(Listen(written.etcd_listen)).0;
        settings.dns.listen = self.dns_listen.unwrap_or(Listen(written.dns_listen)).0;
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
                    127.0.0.1:18500, etcd_listen: none, dns_listen: 127.0.0.1:18600, access: \
                    a.yaml, tls: { cert: c.pem, key: /k.pem } }\n";
        std::fs::write(&path, text).unwrap();
        let place = Place::at(path);
        let control = |listen, etcd_listen| Serve {
            listen,
            etcd_listen,
            dns_listen: etcd_listen,
            store: None,
            access: None,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
        };
        let settings = control(None, None).settings(&place).unwrap();
        assert_eq!(settings.consul_listen.port(), 18500);
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
}
