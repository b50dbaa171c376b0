//! Whether callers find a part: the registry lists it.

use std::sync::Arc;
use std::time::Duration;

use regatta_core::{InstanceId, ServiceName};
use regatta_discovery::{Discover, Freshness, InstanceSet, Watch};

use crate::part::Part;

/// How long a part that starts again waits to be listed before it is shown as ready: longer than a
/// registry on this machine needs, and a part serves without one.
pub(crate) const AGAIN_WITHIN: Duration = Duration::from_secs(2);

/// Sees whether the registry lists one part as an instance that passes its check.
#[derive(Debug)]
pub(crate) struct Listing {
    watch: Watch,
    id: InstanceId,
}

impl Listing {
    /// Begins to watch for a part; none for one that the registry is not to list. Needs the context
    /// of a tokio runtime.
    pub(crate) fn begin(registry: Arc<dyn Discover>, part: &Part) -> Option<Self> {
        // A service whose name no registry takes was warned of when it was to be registered.
        let service = ServiceName::try_new(&part.service).ok().filter(|_| part.is_listed)?;
        Some(Self { watch: registry.watch(&service), id: InstanceId::new(&part.name) })
    }

    /// Whether the registry lists it at this port now.
    pub(crate) fn has(&self, port: u16) -> bool {
        lists(&self.watch.current(), &self.id, port)
    }
}

/// Whether a registry that answers lists this instance at this port. What it was last known to list
/// does not count, nor does an instance of the same id at another port: that is an earlier run's.
fn lists(set: &InstanceSet, id: &InstanceId, port: u16) -> bool {
    let is_it =
        |instance: &regatta_core::Instance| instance.id == *id && instance.endpoint.port() == port;
    set.freshness == Freshness::Fresh && set.instances.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use regatta_core::{Endpoint, Instance};
    use regatta_discovery::MemoryRegistry;

    use super::*;
    use crate::part::tests::part;

    #[test]
    fn an_instance_is_listed_by_its_id_and_its_port() {
        let set = InstanceSet::fresh(vec![instance("user-1", 2001), instance("user-2", 2002)]);
        assert!(lists(&set, &InstanceId::new("user-2"), 2002));
        assert!(!lists(&set, &InstanceId::new("user-3"), 2002));
        assert!(!lists(&set, &InstanceId::new("user-2"), 2001), "that is an earlier run's");
        assert!(!lists(&InstanceSet::unknown(), &InstanceId::new("user-2"), 2002));
    }

    #[test]
    fn what_a_registry_that_is_away_listed_does_not_count() {
        let mut set = InstanceSet::fresh(vec![instance("user-1", 2001)]);
        set.freshness = Freshness::Stale { since: now() };
        assert!(!lists(&set, &InstanceId::new("user-1"), 2001));
    }

    #[tokio::test]
    async fn a_part_that_no_registry_is_to_list_is_not_waited_for() {
        let registry: Arc<dyn Discover> = Arc::new(MemoryRegistry::new());
        let mut part = part("worker", &[]);
        assert!(Listing::begin(Arc::clone(&registry), &part).is_some());
        part.is_listed = false;
        assert!(Listing::begin(registry, &part).is_none());
    }

    fn instance(id: &str, port: u16) -> Instance {
        let endpoint = Endpoint::try_new("127.0.0.1", port).unwrap();
        Instance::new("user".parse().unwrap(), endpoint).with_id(InstanceId::new(id))
    }

    fn now() -> Instant {
        crate::clock::now()
    }
}
