//! Opens a service from given parts.

use std::sync::Arc;

use regatta_config::{Config, Groups as _, Problems};
use regatta_core::ServiceName;
use regatta_discovery::{Discover, Register};

use crate::registry::Registry;
use crate::reload::Source;
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
    ends_process: bool,
}

impl Builder {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            config: None,
            registry: None,
            logs: true,
            ends_process: false,
        }
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

    /// Finds other services in this registry in place of the one at `registry.url`, and is
    /// registered nowhere.
    pub fn discover<R: Discover>(mut self, registry: R) -> Self {
        self.registry = Some(Registry { discover: Arc::new(registry), register: None });
        self
    }

    /// Ends the process with exit code 2 where a setting is wrong, as [`Service::new`] says.
    pub(crate) fn ends_process(mut self) -> Self {
        self.ends_process = true;
        self
    }

    /// Leaves the process's log alone, for tests.
    pub fn quiet(mut self) -> Self {
        self.logs = false;
        self
    }

    /// Opens the service. As [`Service::new`], but it never ends the process.
    ///
    /// # Errors
    ///
    /// As [`Service::new`], wrong settings included.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn build(self) -> Result<Service> {
        // A service without settings of its own may read any key by its name.
        let load = |config: &Config| config.load_open::<Groups>().map(|groups| (groups, ()));
        self.open(load, |config| config.load_open::<Groups>()).map(|(service, ())| service)
    }

    /// Opens the service and reads its own settings. As [`Service::with_settings`], but it never
    /// ends the process.
    ///
    /// # Errors
    ///
    /// As [`Service::new`], wrong settings included.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn build_with<S: regatta_config::Groups>(self) -> Result<(Service, S)> {
        let again = |config: &Config| config.load::<(Groups, S)>().map(|(groups, _)| groups);
        self.open(Config::load::<(Groups, S)>, again)
    }

    fn open<S: regatta_config::Groups>(
        self,
        load: impl FnOnce(&Config) -> std::result::Result<(Groups, S), Problems>,
        again: fn(&Config) -> std::result::Result<Groups, Problems>,
    ) -> Result<(Service, S)> {
        let ends_process = self.ends_process;
        let opened = self.try_open(load, again);
        opened.map_err(|error| if ends_process { error.end_process_if_setting() } else { error })
    }

    fn try_open<S: regatta_config::Groups>(
        self,
        load: impl FnOnce(&Config) -> std::result::Result<(Groups, S), Problems>,
        again: fn(&Config) -> std::result::Result<Groups, Problems>,
    ) -> Result<(Service, S)> {
        let from_environment = self.config.is_none();
        let config = match self.config {
            Some(config) => Ok(config),
            None => Config::from_environment(),
        };
        let loaded = config.and_then(|config| Ok((load(&config)?, config)));
        let mut schemas = Vec::new();
        Groups::schemas(&mut schemas);
        S::schemas(&mut schemas);
        if from_environment && show::is_asked_for() {
            show::and_exit(loaded.map(|(_, config)| config.entries_of(&schemas)));
        }
        let ((groups, own), config) = loaded?;
        let name = ServiceName::try_new(&self.name)?;
        let source = Source { config, schemas, load: again };
        let settings = Settings::from(groups);
        let mut service = Service::assemble(name, source, settings, self.registry, self.logs)?;
        service.ends_process = self.ends_process;
        Ok((service, own))
    }
}
