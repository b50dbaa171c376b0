//! From records to instances: pure rules.

use std::net::{IpAddr, SocketAddr};

use regatta_core::{Instance, ServiceName};

/// One SRV record whose target's addresses are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) addresses: Vec<IpAddr>,
}

/// An instance for each address of a service that has a fixed port.
pub(crate) fn at_port(service: &ServiceName, addresses: &[IpAddr], port: u16) -> Vec<Instance> {
    let instance = |ip: &IpAddr| Instance::new(service.clone(), SocketAddr::new(*ip, port).into());
    addresses.iter().map(instance).collect()
}

/// An instance for each address of the targets of the lowest priority that has any.
///
/// # Source
///
/// RFC 2782: targets of a higher number are for when those of lower ones are gone; a weight of 0
/// means very few calls beside others, so it counts as 1 here, where 0 would mean none.
pub(crate) fn at_targets(service: &ServiceName, records: &[Service]) -> Vec<Instance> {
    let with_address = records.iter().filter(|record| !record.addresses.is_empty());
    let Some(lowest) = with_address.map(|record| record.priority).min() else {
        return Vec::new();
    };
    let chosen = records.iter().filter(|record| record.priority == lowest);
    let instances = chosen.flat_map(|record| {
        at_port(service, &record.addresses, record.port)
            .into_iter()
            .map(|instance| instance.with_weight(u32::from(record.weight).max(1)))
    });
    instances.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, port: u16, addresses: &[&str]) -> Service {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Service { priority, weight, port, addresses }
    }

    fn listed(records: &[Service]) -> Vec<(String, u32)> {
        let instances = at_targets(&"users".parse().unwrap(), records);
        instances.iter().map(|it| (it.endpoint.to_string(), it.weight)).collect()
    }

    #[test]
    fn each_address_is_an_instance_with_its_records_weight() {
        let records = [record(1, 10, 80, &["10.0.0.1", "::1"]), record(1, 0, 81, &["10.0.0.2"])];
        let expected = [("10.0.0.1:80", 10), ("[::1]:80", 10), ("10.0.0.2:81", 1)];
        assert_eq!(listed(&records), expected.map(|(at, weight)| (at.to_owned(), weight)));
    }

    #[test]
    fn higher_numbers_of_priority_wait_until_the_lower_ones_are_gone() {
        let mut records = [record(2, 1, 80, &["10.0.0.2"]), record(1, 1, 80, &["10.0.0.1"])];
        assert_eq!(listed(&records), [("10.0.0.1:80".to_owned(), 1)]);
        records[1].addresses.clear();
        assert_eq!(listed(&records), [("10.0.0.2:80".to_owned(), 1)]);
        assert_eq!(listed(&[]), []);
    }
}
