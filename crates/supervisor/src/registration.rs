//! Registers parts that do not register themselves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use regatta_core::{Endpoint, Instance, InstanceId, ServiceName};
use regatta_discovery::{
    Check, Discover, Probe, Register, Registrar, RegistrarHandle, RegistrarSettings,
};
use regatta_discovery::{Registration, Standing};
use regatta_manifest::Health;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address::{Address, reachable};
use crate::board::Board;
use crate::part::Part;

/// How often the registry asks a part: the supervisor asks as often.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// How often we look whether the registry still knows a part: it is on the same machine.
const VERIFY_EVERY: Duration = Duration::from_secs(5);
/// How long leaving may take: the registry's check removes who could not say goodbye.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Why there is no client of a registry.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What the supervisor needs of a registry: to register parts, and to see which ones it lists.
pub trait RegistryClient: Register + Discover {}

impl<T: Register + Discover> RegistryClient for T {}

/// Makes the client of a registry from its URL.
type Connect = dyn Fn(&str) -> Result<Arc<dyn RegistryClient>, Cause> + Send + Sync;

/// Makes the client of a registry from its URL. The supervisor knows the port and not the
/// protocol, a program names the backend.
#[derive(Clone)]
pub struct Registry(Arc<Connect>);

impl Registry {
    /// A registry whose client this closure makes from a URL such as `http://127.0.0.1:8500`.
    pub fn new(
        client: impl Fn(&str) -> Result<Arc<dyn RegistryClient>, Cause> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(client))
    }

    pub(crate) fn client(&self, url: &str) -> Result<Arc<dyn RegistryClient>, Cause> {
        (self.0)(url)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

/// A part that is registered until this ends.
#[derive(Debug)]
pub(crate) struct Registered {
    drain: CancellationToken,
    tasks: TaskTracker,
}

impl Registered {
    /// Begins to register the part. A part whose name or address no registry takes stays out of it,
    /// with a warning.
    pub(crate) fn begin(
        registry: Arc<dyn Register>,
        part: &Part,
        address: &Address,
        board: &Board,
    ) -> Option<Self> {
        let warn = |error: String| board.warn(format!("{} is not registered: {error}", part.name));
        let registration = registration(part, address).map_err(warn).ok()?;
        let mut settings = RegistrarSettings::default();
        settings.verify_every = VERIFY_EVERY;
        settings.deregister_within = LEAVE_WITHIN;
        let registrar = Registrar::try_new(registry, registration, settings);
        let registrar = registrar.map_err(|error| warn(error.to_string())).ok()?;
        let (drain, tasks, handle) =
            (CancellationToken::new(), TaskTracker::new(), registrar.handle());
        tasks.spawn(registrar.run(drain.clone()));
        tasks.spawn(tell(part.name.clone(), handle, board.clone()));
        tasks.close();
        Some(Self { drain, tasks })
    }

    /// Deregisters the part, within a second.
    pub(crate) async fn end(self) {
        self.drain.cancel();
        self.tasks.wait().await;
    }
}

/// Warns of each change for the worse.
async fn tell(part: String, mut handle: RegistrarHandle, board: Board) {
    let mut last = Standing::Pending;
    while last != Standing::Gone {
        let changed = handle.wait_for(|standing| *standing != last).await;
        if let Standing::Failing { error } = &changed {
            board.warn(format!("{part} cannot be registered: {error}"));
        }
        last = changed;
    }
}

fn registration(part: &Part, address: &Address) -> Result<Registration, String> {
    let service = ServiceName::try_new(&part.service).map_err(|error| error.to_string())?;
    let endpoint = Endpoint::try_new(reachable(&address.host), address.port);
    let endpoint = endpoint.map_err(|error| error.to_string())?;
    let mut instance = Instance::new(service, endpoint).with_id(InstanceId::new(&part.name));
    if let Some(version) = &part.version {
        instance = instance.with_version(version);
    }
    let probe = match &part.health {
        Health::Http { path } => Probe::Http { path: path.clone() },
        Health::Tcp => Probe::Tcp,
    };
    let check = Check { probe, timeout: CHECK_EVERY, ..Check::tcp().every(CHECK_EVERY) };
    Ok(Registration::new(instance).with_check(check))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::tests::part;

    #[test]
    fn a_part_is_registered_as_it_is_called_and_with_its_own_check() {
        let mut part = part("web-1", &[]);
        part.service = "web".to_owned();
        part.version = Some("v2".to_owned());
        part.health = Health::Http { path: "/up".to_owned() };
        let registration = registration(&part, &address("0.0.0.0")).unwrap();
        assert_eq!(registration.instance.id.as_str(), "web-1");
        assert_eq!(registration.instance.service.as_str(), "web");
        assert_eq!(registration.instance.endpoint.to_string(), "127.0.0.1:20001");
        assert_eq!(registration.instance.version.as_deref(), Some("v2"));
        assert_eq!(registration.check.unwrap().probe, Probe::Http { path: "/up".to_owned() });
        part.health = Health::Tcp;
        let registration = super::registration(&part, &address("127.0.0.1")).unwrap();
        assert_eq!(registration.check.unwrap().probe, Probe::Tcp);
    }

    fn address(host: &str) -> Address {
        Address {
            host: host.to_owned(),
            port: 20001,
            admin: None,
            etcd: None,
            dns: None,
            tls: false,
        }
    }
}
