//! Who this process is to others.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use regatta_core::{Endpoint, Instance, InstanceId, InvalidEndpoint, ServiceName};

use crate::settings::ServiceSettings;

/// The instance as it is registered: its real port, and a host that others can reach.
pub(crate) fn instance(
    name: &ServiceName,
    settings: &ServiceSettings,
    listening: SocketAddr,
) -> Result<Instance, InvalidEndpoint> {
    let host = match &settings.advertise {
        Some(host) => host.clone(),
        None if listening.ip().is_unspecified() => way_out().to_string(),
        None => listening.ip().to_string(),
    };
    let endpoint = Endpoint::try_new(&host, listening.port())?;
    let mut instance = Instance::new(name.clone(), endpoint);
    let default = format!("{name}-{host}-{}", listening.port());
    instance.id = InstanceId::new(settings.instance.as_deref().unwrap_or(&default));
    instance.version.clone_from(&settings.version);
    instance.zone.clone_from(&settings.zone);
    instance.weight = settings.weight;
    Ok(instance)
}

/// The address of the interface that leads out of this machine. Connecting a datagram socket asks
/// the routing table and sends nothing; the address it names (TEST-NET-1, RFC 5737) is nobody's.
fn way_out() -> IpAddr {
    let asked = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    asked.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> ServiceName {
        ServiceName::try_new("user-service").unwrap()
    }

    #[test]
    fn is_named_by_where_it_really_listens() {
        let settings = ServiceSettings { version: Some("v1".into()), ..ServiceSettings::default() };
        let instance = instance(&name(), &settings, "127.0.0.1:4711".parse().unwrap()).unwrap();
        assert_eq!(instance.id.as_str(), "user-service-127.0.0.1-4711");
        assert_eq!(instance.endpoint.to_string(), "127.0.0.1:4711");
        assert_eq!((instance.version.as_deref(), instance.weight), (Some("v1"), 1));
    }

    #[test]
    fn takes_the_id_and_the_host_it_is_given() {
        let settings = ServiceSettings {
            instance: Some("user-service-1".into()),
            advertise: Some("users.internal".into()),
            ..ServiceSettings::default()
        };
        let instance = instance(&name(), &settings, "0.0.0.0:80".parse().unwrap()).unwrap();
        assert_eq!(instance.id.as_str(), "user-service-1");
        assert_eq!(instance.endpoint.to_string(), "users.internal:80");
    }

    #[test]
    fn never_advertises_an_address_that_means_every_address() {
        let settings = ServiceSettings::default();
        let instance = instance(&name(), &settings, "0.0.0.0:80".parse().unwrap()).unwrap();
        assert_ne!(instance.endpoint.host(), "0.0.0.0");
    }
}
