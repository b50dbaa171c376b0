//! What host names were last resolved to.

use std::collections::HashMap;
use std::net::SocketAddr;

use regatta_core::{Endpoint, Instance};

/// What host names were last resolved to: a resolver that is away, or has lost one name, takes no
/// instance out. As many as the registry lists.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<Endpoint, SocketAddr>);

impl Names {
    /// The instances with their addresses: the resolver's answer where there is one, else the last
    /// one known. An instance whose name was never resolved is left out.
    pub(super) fn take(
        &mut self,
        instances: &[Instance],
        answers: &[Option<SocketAddr>],
    ) -> Vec<(Instance, SocketAddr)> {
        let before = std::mem::take(&mut self.0);
        let mut found = Vec::with_capacity(instances.len());
        for (instance, answer) in instances.iter().zip(answers) {
            let endpoint = &instance.endpoint;
            let Some(address) = answer.or_else(|| before.get(endpoint).copied()) else { continue };
            if endpoint.as_socket_addr().is_none() {
                self.0.insert(endpoint.clone(), address);
            }
            found.push((instance.clone(), address));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(host: &str) -> Instance {
        Instance::new("a".parse().unwrap(), Endpoint::try_new(host, 80).unwrap())
    }

    fn at(last: u8) -> Option<SocketAddr> {
        Some(SocketAddr::from(([10, 0, 0, last], 80)))
    }

    fn taken(names: &mut Names, hosts: &[&str], answers: &[Option<SocketAddr>]) -> Vec<SocketAddr> {
        let instances: Vec<_> = hosts.iter().map(|host| instance(host)).collect();
        names.take(&instances, answers).into_iter().map(|(_, address)| address).collect()
    }

    #[test]
    fn a_name_that_does_not_resolve_keeps_its_last_address_and_one_that_moves_has_the_new() {
        let mut names = Names::default();
        let both = ["one.internal", "two.internal"];
        assert_eq!(taken(&mut names, &both, &[at(1), at(2)]).len(), 2);
        let found = taken(&mut names, &both, &[None, at(3)]);
        assert_eq!(found, [at(1).unwrap(), at(3).unwrap()]);
        let found = taken(&mut names, &both, &[None, None]);
        assert_eq!(found, [at(1).unwrap(), at(3).unwrap()]);
    }

    #[test]
    fn a_name_that_was_never_resolved_is_left_out_and_one_that_left_the_list_is_forgotten() {
        let mut names = Names::default();
        assert_eq!(taken(&mut names, &["one.internal"], &[None]), []);
        taken(&mut names, &["one.internal"], &[at(1)]);
        taken(&mut names, &["10.0.0.9"], &[at(9)]);
        assert_eq!(taken(&mut names, &["one.internal"], &[None]), []);
    }
}
