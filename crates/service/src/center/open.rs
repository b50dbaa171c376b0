//! From `config_center.url` to a center, and what it had to say at the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use regatta_config::center::{
    CenterError, ConfigCenter, InvalidPrefix, Known, Layout, Query, Rhythm,
};
use regatta_config::release::Rollout;
use regatta_config::{CenterLayer, Config};
use regatta_config_etcd::{EtcdCenter, InvalidOptions, Options};
use regatta_core::{Chain, Secret, ServiceName};

use super::Kept;
use crate::settings::ConfigCenterSettings;
use crate::{Error, Result};

/// What is of the process itself, and cannot come from a center.
const WITHHELD: [&str; 6] = [
    "config_center.",
    "server.host",
    "server.port",
    "service.instance",
    "service.advertise",
    "admin.listen",
];

/// The center of a service.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) center: Arc<dyn ConfigCenter>,
    pub(crate) layout: Layout,
    pub(crate) service: ServiceName,
    /// Where the last known settings are kept.
    pub(crate) kept: Option<Kept>,
    /// What the service begins with.
    pub(crate) begin: Found,
    /// What was refused at the start, and why.
    pub(crate) refused: Option<(u64, String)>,
}

/// What is known of a service's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The settings of all services.
    pub(crate) shared: Known,
    /// Those of this one.
    pub(crate) own: Known,
}

impl Found {
    /// The revision of the later one.
    pub(crate) fn revision(&self) -> u64 {
        self.shared.revision().max(self.own.revision())
    }
}

impl Opened {
    /// Opens the center that the settings name, or takes the given one; none where there is none.
    /// Waits for its first answer as long as the settings say.
    pub(crate) async fn begin(
        config: &Config,
        service: &ServiceName,
        given: Option<Arc<dyn ConfigCenter>>,
    ) -> Result<Option<(Self, Vec<Found>)>> {
        let settings: ConfigCenterSettings = config.group()?;
        let center = match (given, &settings.url) {
            (Some(center), _) => center,
            (None, Some(url)) if !matches!(url.expose().trim(), "" | "none") => {
                Arc::new(open(url, &settings)?)
            }
            (None, _) => return Ok(None),
        };
        let layout = Layout::try_new(&settings.prefix)
            .map_err(|InvalidPrefix { .. }| invalid("config_center.prefix", &settings.prefix))?;
        let instance: Option<String> = config.group::<crate::settings::ServiceSettings>()?.instance;
        let kept = settings.keep.then(|| {
            Kept::at(settings.kept_file.clone().unwrap_or_else(|| usual(service, instance)))
        });
        let opened = Self {
            center,
            layout,
            service: service.clone(),
            kept,
            begin: Found::default(),
            refused: None,
        };
        let mut found = Vec::new();
        match tokio::time::timeout(settings.start_timeout, opened.read()).await {
            Ok(Ok(read)) => found.push(read),
            Ok(Err(error)) => {
                let reason = Chain(&error).to_string();
                tracing::warn!(reason, "the config center does not answer; starting without it");
            }
            Err(_elapsed) => {
                let waited = settings.start_timeout;
                tracing::warn!(?waited, "the config center does not answer; starting without it");
            }
        }
        // What it said is better than what it said once; that serves where the new is refused.
        if let Some(kept) = &opened.kept {
            found.extend(kept.read());
        }
        Ok(Some((opened, found)))
    }

    /// The layer of an instance; one that does not know its name yet gets that of all.
    pub(crate) fn layer(&self, found: &Found, instance: Option<&str>) -> CenterLayer {
        let service = self.service.as_str();
        let (shared, own) = (found.shared.items().values(), found.own.items().values());
        CenterLayer::new(&self.layout, service, instance, shared, own, &WITHHELD)
    }

    /// The release that is under way; none too where it cannot be read.
    pub(crate) fn rollout(&self, found: &Found) -> Option<String> {
        let key = self.layout.rollout(self.service.as_str());
        let item = found.own.items().get(&*key)?;
        Some(Rollout::parse(&item.value)?.release)
    }

    async fn read(&self) -> std::result::Result<Found, CenterError> {
        let shared = self.read_prefix(self.layout.shared()).await?;
        let own = self.read_prefix(self.layout.service(self.service.as_str())).await?;
        Ok(Found { shared, own })
    }

    async fn read_prefix(&self, prefix: String) -> std::result::Result<Known, CenterError> {
        let most = Rhythm::default().max_items;
        let read = self.center.list(&Query::prefix(&*prefix).limit(most)).await?;
        if read.total > most as u64 {
            // Half of the settings are none that anybody wrote.
            let message = format!("there are more than {most} keys under `{prefix}`");
            return Err(CenterError::Refused { message });
        }
        Ok(Known::from_items(read.items, read.revision))
    }
}

fn open(url: &Secret, settings: &ConfigCenterSettings) -> Result<EtcdCenter> {
    let mut options = Options::default();
    if let Some(user) = &settings.user {
        let (name, password) = user
            .expose()
            .split_once(':')
            .ok_or_else(|| Error::ConfigCenter { source: InvalidOptions::HalfUser.into() })?;
        options.user = Some(name.to_owned());
        options.password = Some(Secret::new(password));
    }
    let read = |path: &Option<PathBuf>| path.as_deref().map(file).transpose();
    options.ca_pem = read(&settings.ca_file)?;
    options.cert_pem = read(&settings.cert_file)?;
    let key = read(&settings.key_file)?;
    options.key_pem = key.map(|bytes| Secret::new(String::from_utf8_lossy(&bytes)));
    let opened = EtcdCenter::try_new(url.expose(), options);
    opened.map_err(|error| Error::ConfigCenter { source: error.into() })
}

fn file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        let text = format!("`{}` cannot be read: {error}; check its path", path.display());
        Error::ConfigCenter { source: text.into() }
    })
}

fn invalid(key: &str, value: &str) -> Error {
    let text = format!("{key} is `{value}`; begin and end it with `/`, such as /config/");
    Error::ConfigCenter { source: text.into() }
}

fn usual(service: &ServiceName, instance: Option<String>) -> PathBuf {
    // An id may be any text; as a file's name it must stay one.
    let safe = |id: String| id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
    let instance = instance.map(|id| format!(".{}", safe(id))).unwrap_or_default();
    format!(".regatta/data/{service}/config-center{instance}.json").into()
}
