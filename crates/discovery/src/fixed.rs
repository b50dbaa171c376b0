//! A registry that is a list in a setting: `static:`.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::Arc;

use regatta_core::{Endpoint, Instance, InvalidEndpoint, InvalidName, ServiceName};

use crate::{Discover, InstanceSet, Publisher, Watch};

/// Fixed addresses; nothing is probed and nothing changes.
///
/// Written `static:NAME=HOST:PORT,HOST:PORT;NAME=...`, with or without `static:`. Spaces around the
/// separators and a `;` at the end are ignored.
#[derive(Clone, Debug, Default)]
pub struct StaticRegistry {
    services: Arc<HashMap<ServiceName, Publisher>>,
}

/// The text is not a list of services.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidStatic {
    /// A part between two `;` has no `=`.
    #[error("`{part}` names no addresses; write user-service=127.0.0.1:8080,127.0.0.1:8081")]
    NoAddresses {
        /// What stands between the semicolons.
        part: String,
    },
    /// A name is not a service name.
    #[error("the static registry has a wrong name")]
    Name(#[source] InvalidName),
    /// An address is not an endpoint.
    #[error("service `{service}` of the static registry has a wrong address")]
    Address {
        /// Whose address it is.
        service: ServiceName,
        /// What is wrong.
        #[source]
        source: InvalidEndpoint,
    },
    /// A service is listed twice.
    #[error("service `{service}` is listed twice; put its addresses behind one name")]
    Twice {
        /// The service.
        service: ServiceName,
    },
}

impl StaticRegistry {
    /// A registry of these instances, by their service.
    pub fn new(instances: impl IntoIterator<Item = Instance>) -> Self {
        let mut services = BTreeMap::<ServiceName, Vec<Instance>>::new();
        for instance in instances {
            services.entry(instance.service.clone()).or_default().push(instance);
        }
        let publish = |(name, instances)| (name, Publisher::new(InstanceSet::fresh(instances)));
        Self { services: Arc::new(services.into_iter().map(publish).collect()) }
    }

    /// The services listed, ordered by name.
    pub fn services(&self) -> Vec<ServiceName> {
        let mut names: Vec<_> = self.services.keys().cloned().collect();
        names.sort();
        names
    }
}

impl FromStr for StaticRegistry {
    type Err = InvalidStatic;

    fn from_str(text: &str) -> Result<Self, InvalidStatic> {
        let mut services = BTreeMap::new();
        let list = text.trim().strip_prefix("static:").unwrap_or(text);
        for part in list.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let no_addresses = || InvalidStatic::NoAddresses { part: part.to_owned() };
            let (name, addresses) = part.split_once('=').ok_or_else(no_addresses)?;
            let service = ServiceName::try_new(name.trim()).map_err(InvalidStatic::Name)?;
            let address = |address: &str| {
                let wrong = |source| InvalidStatic::Address { service: service.clone(), source };
                let endpoint = address.trim().parse::<Endpoint>().map_err(wrong)?;
                Ok(Instance::new(service.clone(), endpoint))
            };
            let instances = addresses.split(',').map(address).collect::<Result<Vec<_>, _>>()?;
            if services.insert(service.clone(), instances).is_some() {
                return Err(InvalidStatic::Twice { service });
            }
        }
        Ok(Self::new(services.into_values().flatten()))
    }
}

impl Discover for StaticRegistry {
    fn watch(&self, service: &ServiceName) -> Watch {
        match self.services.get(service) {
            Some(publisher) => publisher.watch(),
            // Not listed: known to have no instance, and that will not change.
            None => Publisher::new(InstanceSet::fresh(Vec::new())).watch(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoints(registry: &StaticRegistry, service: &str) -> Vec<String> {
        let set = registry.watch(&service.parse().unwrap()).current();
        set.instances.iter().map(|instance| instance.endpoint.to_string()).collect()
    }

    #[test]
    fn reads_services_with_their_addresses() {
        let registry: StaticRegistry =
            "static:user-service=127.0.0.1:8080, [::1]:8081 ; pay=pay.internal:80;"
                .parse()
                .unwrap();
        assert_eq!(endpoints(&registry, "user-service"), ["127.0.0.1:8080", "[::1]:8081"]);
        assert_eq!(endpoints(&registry, "pay"), ["pay.internal:80"]);
        assert!(endpoints(&registry, "other").is_empty());
        assert!(registry.watch(&"other".parse().unwrap()).current().is_known());
    }

    #[test]
    fn says_what_is_wrong_with_a_list() {
        let error = |text: &str| text.parse::<StaticRegistry>().unwrap_err();
        assert!(matches!(error("static:users"), InvalidStatic::NoAddresses { .. }));
        assert!(matches!(error("Users=a:1"), InvalidStatic::Name(_)));
        assert!(matches!(error("users=a"), InvalidStatic::Address { .. }));
        assert!(matches!(error("users="), InvalidStatic::Address { .. }));
        assert!(matches!(error("users=a:1,"), InvalidStatic::Address { .. }));
        assert!(matches!(error("a=a:1;a=a:2"), InvalidStatic::Twice { .. }));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text: String) {
            let _ = text.parse::<StaticRegistry>();
        }
    }
}
