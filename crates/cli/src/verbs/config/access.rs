//! Which config center, and who asks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use regatta_config::center::{
    CenterError, Commit, ConfigCenter, Journal, JournalChange, JournalEntry, Layout, Place as Lies,
    Query, Report,
};
use regatta_config_etcd::{EtcdCenter, Options};
use regatta_core::{Secret, ServiceName};

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::system::Place;

/// Where the embedded center is when nobody says otherwise.
const USUAL: &str = "http://127.0.0.1:2379";

/// How often a change is tried that others get ahead of.
const TRIES: usize = 5;

/// Which config center.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Config center")]
pub(crate) struct Access {
    /// Where it is: etcd://HOST:PORT, or etcds:// for TLS; several with a comma between them.
    /// Default: that of the running system, else http://127.0.0.1:2379.
    #[arg(long, value_name = "URL", env = "ETCDCTL_ENDPOINTS")]
    endpoint: Option<String>,
    /// Who logs in, as user:password.
    #[arg(long, value_name = "USER:PASSWORD", env = "ETCDCTL_USER", hide_env_values = true)]
    user: Option<String>,
    /// The certificates to trust, in PEM, for TLS. Default: control_plane.tls.ca of the manifest.
    #[arg(long, value_name = "FILE", env = "ETCDCTL_CACERT")]
    cacert: Option<PathBuf>,
    /// The client's own certificate, in PEM.
    #[arg(long = "cert", value_name = "FILE", env = "ETCDCTL_CERT")]
    cert_file: Option<PathBuf>,
    /// The key of that, in PEM.
    #[arg(long = "key", value_name = "FILE", env = "ETCDCTL_KEY")]
    key_file: Option<PathBuf>,
    /// What the keys of settings begin with.
    #[arg(long, value_name = "PREFIX", default_value = Layout::PREFIX)]
    prefix: String,
}

/// Why something is changed, and by whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct Reason {
    /// What for; stands in the history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) why: String,
    /// Who does it; stands in the history. Default: the user and machine of this shell.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// The config center, opened.
pub(crate) struct Center {
    pub(crate) port: Arc<dyn ConfigCenter>,
    pub(crate) layout: Layout,
}

impl Access {
    /// Connects to nothing yet.
    pub(crate) fn open(&self, place: &Place) -> Result<Center, Failure> {
        let mut options = Options::default();
        if let Some(user) = &self.user {
            let (name, password) = user.split_once(':').ok_or_else(|| {
                Failure::usage("`--user` has no password; write it as user:password")
            })?;
            options.user = Some(name.to_owned());
            options.password = Some(Secret::new(password));
        }
        let read = |path: &Option<PathBuf>| path.as_deref().map(file).transpose();
        // Without a manifest there is no system, and nothing of one to trust.
        let own = || ControlPlane::of(place).ok()?.ca;
        options.ca_pem = read(&self.cacert.clone().or_else(own))?;
        options.cert_pem = read(&self.cert_file)?;
        let key = read(&self.key_file)?;
        options.key_pem = key.map(|bytes| Secret::new(String::from_utf8_lossy(&bytes)));
        let endpoint = match &self.endpoint {
            Some(endpoint) if !endpoint.is_empty() => endpoint.clone(),
            // Without a manifest there is no system, and the usual place is meant.
            _ => place
                .state()
                .ok()
                .flatten()
                .and_then(|state| state.config_center)
                .unwrap_or(USUAL.to_owned()),
        };
        let usage = |error: &dyn std::fmt::Display| Failure::usage(error.to_string());
        let center = EtcdCenter::try_new(&endpoint, options).map_err(|error| usage(&error))?;
        let layout = Layout::try_new(&self.prefix).map_err(|error| usage(&error))?;
        Ok(Center { port: Arc::new(center), layout })
    }
}

impl Reason {
    /// Who does it.
    pub(crate) fn by(&self) -> String {
        let user = || std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
        let host = || {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
            name.map(|name| format!("@{}", name.trim())).unwrap_or_default()
        };
        self.by.clone().unwrap_or_else(|| user() + &host())
    }

    /// An entry for the journal.
    pub(crate) fn entry(
        &self,
        action: &str,
        service: &str,
        changes: Vec<JournalChange>,
    ) -> JournalEntry {
        JournalEntry {
            at_ms: now_ms(),
            by: self.by(),
            why: self.why.clone(),
            action: action.to_owned(),
            service: service.to_owned(),
            changes,
        }
    }
}

impl Center {
    /// The whole key of a setting.
    pub(crate) fn key(
        &self,
        service: &str,
        instance: Option<&str>,
        key: &str,
    ) -> Result<String, Failure> {
        known(service)?;
        let whole = self.layout.setting(service, instance, key);
        match self.layout.place(service, &whole) {
            Some(Lies::Setting { .. } | Lies::OfInstance { .. }) => Ok(whole),
            _ => Err(Failure::usage(format!(
                "`{key}` is no key of a setting; write it with dots, such as client.timeout"
            ))),
        }
    }

    /// Makes a change with its entry in the journal; `make` is asked again where somebody else was
    /// ahead.
    pub(crate) async fn change<F>(&self, make: impl Fn() -> F) -> Result<u64, Failure>
    where
        F: Future<Output = Result<(Commit, JournalEntry), Failure>>,
    {
        let journal = Journal::new(self.layout.clone());
        let mut tries = 1;
        loop {
            let (commit, entry) = make().await?;
            let commit = journal.add(&*self.port, commit, &entry, rand::random()).await?;
            match self.port.commit(commit).await {
                Err(CenterError::Conflict { .. }) if tries < TRIES => tries += 1,
                committed => return Ok(committed?.revision),
            }
        }
    }

    /// What instances say, of one service or of all.
    pub(crate) async fn reports(&self, service: Option<&str>) -> Result<Vec<Report>, CenterError> {
        let service = service.filter(|service| *service != Layout::SHARED);
        let items = self.port.list(&Query::prefix(self.layout.reports(service))).await?.items;
        Ok(items.iter().filter_map(|item| Report::parse(&item.value)).collect())
    }
}

/// A service's name, or `_shared` for all.
pub(crate) fn known(service: &str) -> Result<(), Failure> {
    if service == Layout::SHARED {
        return Ok(());
    }
    ServiceName::try_new(service).map(drop).map_err(|error| Failure::usage(error.to_string()))
}

/// A value as it is shown: what is named like a secret is hidden unless asked for.
pub(crate) fn shown(key: &str, value: &str, reveal: bool) -> String {
    let name = key.rsplit('/').next().unwrap_or(key);
    match reveal {
        true => value.to_owned(),
        false if regatta_config::is_secret_name(name) => "***".to_owned(),
        false => regatta_config::redact_urls(value),
    }
}

/// Milliseconds since 1970, by the wall clock.
pub(crate) fn now_ms() -> u64 {
    let since = regatta_auth::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A time for people, to the second, UTC.
pub(crate) fn when(at_ms: u64) -> String {
    let seconds = i64::try_from(at_ms / 1000).unwrap_or(0);
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    time.and_then(|time| time.format(format).ok()).unwrap_or_default()
}

fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::usage(format!("`{}` cannot be read: {error}; check its path", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_for_people() {
        assert_eq!(when(1_700_000_000_123), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn what_is_named_like_a_secret_is_hidden() {
        assert_eq!(shown("/config/a/db.password", "x", false), "***");
        assert_eq!(shown("/config/a/db.password", "x", true), "x");
        assert_eq!(shown("/config/token-service/db.url", "pg://a:b@c", false), "pg://a:***@c");
    }

    #[test]
    fn a_service_or_all_of_them() {
        assert!(known("user-service").is_ok() && known("_shared").is_ok());
        assert!(known("_journal").is_err() && known("").is_err());
    }
}
