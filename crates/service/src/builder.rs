//! Opens a service from given parts.

use regatta_config::{Config, Groups as _, Problems};
use regatta_core::ServiceName;
use regatta_discovery::{Discover, Register};

use crate::registry::Registry;
use crate::settings::{Groups, Settings};
use crate::{Result, Service, show};

/// Opens a service from given parts; whatever is not given comes from the environment.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    name: String,
    config: Option<Config>,
    registry: Option<Registry>,
    logs: bool,
}

impl Builder {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), config: None, registry: None, logs: true }
    }

    /// Takes this configuration in place of the file at `CONFIG_PATH` and the environment.
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(config);
        self
    }

    /// Takes this registry in place of the one at `registry.url`.
    pub fn registry<R: Discover + Register + Clone>(mut self, registry: R) -> Self {
        self.registry = Some(Registry::of(registry));
        self
    }

    /// Leaves the process's log alone, for tests.
    pub fn quiet(mut self) -> Self {
        self.logs = false;
        self
    }

    /// Opens the service. As [`Service::new`].
    ///
    /// # Errors
    ///
    /// As [`Service::new`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn build(self) -> Result<Service> {
        // A service without settings of its own may read any key by its name.
        self.open(|config| config.load_open::<Groups>().map(|groups| (groups, ()))).map(|(s, ())| s)
    }

    /// Opens the service and reads its own settings. As [`Service::with_settings`].
    ///
    /// # Errors
    ///
    /// As [`Service::new`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn build_with<S: regatta_config::Groups>(self) -> Result<(Service, S)> {
        self.open(|config| config.load::<(Groups, S)>())
    }

    fn open<S: regatta_config::Groups>(
        self,
        load: impl FnOnce(&Config) -> std::result::Result<(Groups, S), Problems>,
    ) -> Result<(Service, S)> {
        let from_environment = self.config.is_none();
        let config = match self.config {
            Some(config) => Ok(config),
            None => Config::from_environment(),
        };
        let loaded = config.and_then(|config| Ok((load(&config)?, config)));
        if from_environment && show::is_asked_for() {
            let mut schemas = Vec::new();
            Groups::schemas(&mut schemas);
            S::schemas(&mut schemas);
            show::and_exit(loaded.map(|(_, config)| config.entries_of(&schemas)));
        }
        let ((groups, own), config) = loaded?;
        let name = ServiceName::try_new(&self.name)?;
        let settings = Settings::from(groups);
        let service = Service::assemble(name, config, settings, self.registry, self.logs)?;
        Ok((service, own))
    }
}
