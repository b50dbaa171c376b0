//! Opens a service from given parts.

use std::sync::Arc;

use regatta_config::center::ConfigCenter;
use regatta_config::{Config, Groups as _, Problems};
use regatta_core::ServiceName;
use regatta_discovery::{Discover, Register};

use crate::center::{Found, Opened};
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
    config_center: Option<Arc<dyn ConfigCenter>>,
    logs: bool,
    ends_process: bool,
}

impl Builder {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            config: None,
            registry: None,
            config_center: None,
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

    /// Takes this config center in place of the one at `config_center.url`.
    pub fn config_center(mut self, center: impl ConfigCenter) -> Self {
        self.config_center = Some(Arc::new(center));
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
        let opened = self.open(load, |config| config.load_open::<Groups>()).await;
        opened.map(|(service, ())| service)
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
        self.open(Config::load::<(Groups, S)>, again).await
    }

    async fn open<S: regatta_config::Groups>(
        self,
        load: impl Fn(&Config) -> std::result::Result<(Groups, S), Problems>,
        again: fn(&Config) -> std::result::Result<Groups, Problems>,
    ) -> Result<(Service, S)> {
        let ends_process = self.ends_process;
        let opened = self.try_open(load, again).await;
        opened.map_err(|error| if ends_process { error.end_process_if_setting() } else { error })
    }

    async fn try_open<S: regatta_config::Groups>(
        self,
        load: impl Fn(&Config) -> std::result::Result<(Groups, S), Problems>,
        again: fn(&Config) -> std::result::Result<Groups, Problems>,
    ) -> Result<(Service, S)> {
        let from_environment = self.config.is_none();
        let config = match self.config {
            Some(config) => Ok(config),
            None => Config::from_environment(),
        };
        let mut schemas = Vec::new();
        Groups::schemas(&mut schemas);
        S::schemas(&mut schemas);
        let name = ServiceName::try_new(&self.name);
        let begun = match (&config, &name) {
            (Ok(config), Ok(name)) => Opened::begin(config, name, self.config_center).await?,
            _ => None,
        };
        let loaded = config.and_then(|config| Begun::load(config, begun, &load));
        if from_environment && show::is_asked_for() {
            show::and_exit(loaded.map(|(_, begun)| begun.config.entries_of(&schemas)));
        }
        let ((groups, own), Begun { config, base, config_center }) = loaded?;
        let source = Source { config: base, schemas, load: again };
        let settings = Settings::from(groups);
        let mut service =
            Service::assemble(name?, source, config, settings, self.registry, self.logs)?;
        service.config_center = config_center;
        service.ends_process = self.ends_process;
        Ok((service, own))
    }
}

/// What a service begins with.
struct Begun {
    /// With the settings of the config center.
    config: Config,
    /// Without them.
    base: Config,
    config_center: Option<Opened>,
}

impl Begun {
    /// Reads the settings with what the center has, else with what was known of it last, else
    /// without: a wrong value there keeps no service from starting.
    fn load<T>(
        base: Config,
        begun: Option<(Opened, Vec<Found>)>,
        load: impl Fn(&Config) -> std::result::Result<T, Problems>,
    ) -> std::result::Result<(T, Self), Problems> {
        let Some((mut opened, found)) = begun else {
            let (loaded, config) = (load(&base)?, base.clone());
            return Ok((loaded, Self { config, base, config_center: None }));
        };
        let instance = base.group::<crate::settings::ServiceSettings>()?.instance;
        for found in found {
            let config = base.with_center(opened.layer(&found, instance.as_deref()));
            match load(&config) {
                Ok(loaded) => {
                    opened.begin = found;
                    return Ok((loaded, Self { config, base, config_center: Some(opened) }));
                }
                // What is wrong below the center as well is no fault of the center.
                Err(problems) => {
                    load(&base)?;
                    let reason = problems.to_string();
                    tracing::error!(reason, "settings of the config center are refused");
                    opened.refused.get_or_insert((found.revision(), reason));
                }
            }
        }
        let (loaded, config) = (load(&base)?, base.clone());
        Ok((loaded, Self { config, base, config_center: Some(opened) }))
    }
}
