//! Where this system's own control plane is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::system::Place;

/// The addresses of a control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ControlPlane {
    /// Consul's interface, such as `http://127.0.0.1:8500`.
    pub(crate) consul: String,
    /// etcd's interface, such as `http://127.0.0.1:2379`; none when it offers none.
    pub(crate) etcd: Option<String>,
    /// What its certificate is trusted by, as the manifest says.
    pub(crate) ca: Option<PathBuf>,
}

impl ControlPlane {
    /// That of the system as it runs; where it does not, as the manifest has it, or by default.
    pub(crate) fn of(place: &Place) -> Result<Self, Failure> {
        let layout = place.layout_or_here()?;
        let state = place.state_of(&layout)?;
        let (folder, written) = match place.manifest_if_any()? {
            Some((path, manifest)) => (path.parent().map(Path::to_owned), manifest.control_plane),
            None => Default::default(),
        };
        let tls = written.tls;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let ca = tls.and_then(|tls| tls.ca).map(|ca| folder.unwrap_or_default().join(ca));
        if let Some(state) = state {
            // What runs may listen elsewhere than the manifest says.
            let none = || Failure::new("this system runs without a control plane");
            return Ok(Self {
                consul: state.registry.ok_or_else(none)?,
                etcd: state.config_center,
                ca,
            });
        }
        if regatta_supervisor::running(&layout)?.is_some() {
            return Err(Failure::new(
                "this system starts, and where its control plane will be is not known yet; try \
                 again when it runs, or say where it is",
            ));
        }
        let url = |address: SocketAddr| format!("{scheme}://{}", reachable(address));
        Ok(Self { consul: url(written.listen), etcd: written.etcd_listen.map(url), ca })
    }
}

/// The address to call for an address to bind.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_runs_the_manifest_says_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regatta.yaml");
        let text = "name: shop\nservices: { a: { run: { cargo: a } } }\ncontrol_plane: { listen: \
                    '0.0.0.0:18500', etcd_listen: none, tls: { cert: c, key: k, ca: ca.pem } }\n";
        std::fs::write(&path, text).unwrap();
        let found = ControlPlane::of(&Place::at(path)).unwrap();
        let consul = "https://127.0.0.1:18500".to_owned();
        let ca = Some(std::fs::canonicalize(folder.path()).unwrap().join("ca.pem"));
        assert_eq!(found, ControlPlane { consul, etcd: None, ca });
    }

    #[test]
    fn while_a_system_starts_no_other_one_is_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regatta.yaml");
        std::fs::write(&path, "name: shop\nservices: { a: { run: { cargo: a } } }\n").unwrap();
        std::fs::create_dir(folder.path().join(".regatta")).unwrap();
        let lock = std::fs::File::create(folder.path().join(".regatta/lock")).unwrap();
        lock.lock().unwrap();
        let refused = ControlPlane::of(&Place::at(path)).unwrap_err();
        assert!(refused.to_string().contains("not known yet"), "{refused}");
    }
}
