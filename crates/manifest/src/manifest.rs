//! The system as a whole.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::{Gateway, LoadError, Problems, Service};

/// Largest manifest: far above any, so that a wrong path ends in an error.
const MAX_BYTES: u64 = 4 << 20;

/// A system: its services, its gateway, its control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// The system's name; a DNS label.
    pub name: String,
    /// Its services in the order of the text; names are unique.
    pub services: Vec<Service>,
    /// Where clients enter.
    pub gateway: Gateway,
    /// Where the registry is.
    pub control_plane: ControlPlane,
}

/// The embedded control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControlPlane {
    /// Where it speaks Consul's HTTP API. Default `127.0.0.1:8500`.
    pub listen: SocketAddr,
    /// The address at which services are found that register without one. Default none: that of
    /// [`ControlPlane::listen`], or the machine's own if it listens on every address.
    pub advertise: Option<IpAddr>,
    /// Where it speaks etcd's gRPC API; none switches that off. Default `127.0.0.1:2379`.
    pub etcd_listen: Option<SocketAddr>,
    /// Where it answers DNS, over UDP and TCP; none switches that off. Default `127.0.0.1:8600`.
    pub dns_listen: Option<SocketAddr>,
    /// The access file: tokens, users and their rules; beside the manifest when relative. Default
    /// none: whoever reaches it may do everything.
    pub access: Option<PathBuf>,
    /// Certificates of both its interfaces. Default none: no TLS.
    pub tls: Option<ControlPlaneTls>,
    /// The datacenter that it says it is. Default: the control plane's, `dc1`.
    pub datacenter: Option<String>,
    /// The node that services are registered on. Default: the control plane's, `regatta`.
    pub node_name: Option<String>,
    /// Limits by their names, such as `etcd.max_leases`, with their values as written. Which there
    /// are is the control plane's to say. Default: its own.
    pub limits: BTreeMap<String, String>,
}

/// Certificates of the control plane, in PEM; beside the manifest when relative.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControlPlaneTls {
    /// Its own certificate, with those between it and its root.
    pub certificate: PathBuf,
    /// The key of that.
    pub key: PathBuf,
    /// Whose certificate that is: what its clients trust. Default none: what the machine trusts.
    pub ca: Option<PathBuf>,
    /// Whose certificates its clients must present. Default none: they present none.
    pub client_ca: Option<PathBuf>,
}

impl Default for ControlPlane {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            listen: local(8500),
            advertise: None,
            etcd_listen: Some(local(2379)),
            dns_listen: Some(local(8600)),
            datacenter: None,
            node_name: None,
            limits: BTreeMap::new(),
            access: None,
            tls: None,
        }
    }
}

impl Manifest {
    /// Reads a manifest from its text; `file` is the name that problems show.
    ///
    /// # Errors
    ///
    /// All problems at once, each with its line.
    pub fn parse(text: &str, file: &str) -> Result<Self, Problems> {
        let root = regatta_yaml::parse(text).map_err(|found| Problems::new(file, found))?;
        let mut problems = Vec::new();
        let manifest = crate::read::manifest(&root, &mut problems);
        match manifest {
            Some(manifest) if problems.is_empty() => Ok(manifest),
            _ => Err(Problems::new(file, problems)),
        }
    }

    /// Reads a manifest from a file.
    ///
    /// # Errors
    ///
    /// There is no such file, it cannot be read, or all problems of its text at once.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => LoadError::Missing { path: path.to_owned() },
            _ => unreadable(source),
        })?;
        let mut text = String::new();
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if read as u64 > MAX_BYTES {
            return Err(unreadable(std::io::Error::other("it is over 4 MiB")));
        }
        Ok(Self::parse(&text, &path.display().to_string())?)
    }

    /// The service of a name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name.as_str() == name)
    }

    /// The services such that each comes after all it needs; otherwise in the order of the text.
    pub fn start_order(&self) -> Vec<&Service> {
        let mut order: Vec<&Service> = Vec::with_capacity(self.services.len());
        let mut started: HashSet<&str> = HashSet::new();
        while order.len() < self.services.len() {
            let waiting =
                || self.services.iter().filter(|service| !started.contains(service.name.as_str()));
            let ready = |service: &&Service| {
                service.needs.iter().all(|need| started.contains(need.as_str()))
            };
            // A manifest that was read has no cycle; one made by hand may, and then its rest comes
            // in the order of the text.
            let Some(next) = waiting().find(ready).or_else(|| waiting().next()) else { break };
            started.insert(next.name.as_str());
            order.push(next);
        }
        order
    }
}
