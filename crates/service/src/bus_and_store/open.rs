//! From `events.url` to a bus.

use std::sync::{Arc, OnceLock};

use regatta_database::{Database, Options};
use regatta_events::{EventBus, MemoryBus};
use regatta_events_sql::SqlBus;

use crate::settings::NatsSettings;
use crate::{Error, Result};

/// The file of a service that was told nothing.
const DEFAULT_URL: &str = "sqlite://.regatta/data/events/events.db";

/// A bus, and the database under it, which is closed at the end.
pub(super) struct Opened {
    pub(super) bus: Arc<dyn EventBus>,
    pub(super) database: Option<Database>,
}

/// Opens the bus at this URL; connects to nothing yet.
pub(super) fn open(
    url: Option<&str>,
    settings: &NatsSettings,
    options: &Options,
) -> Result<Opened> {
    let url = url.map_or(DEFAULT_URL, str::trim);
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    match scheme {
        "memory" => Ok(Opened { bus: Arc::new(of_process()), database: None }),
        "sqlite" | "postgres" | "postgresql" => {
            if url == DEFAULT_URL {
                tracing::info!(url, "events in a file; set events.url to share another bus");
            }
            let failed = |error: regatta_database::OpenError| Error::Events(error.into());
            let database = Database::open(url, options).map_err(failed)?;
            let bus = Arc::new(SqlBus::migrating(&database));
            Ok(Opened { bus, database: Some(database) })
        }
        "nats" | "tls" => nats(url, settings),
        other => {
            let message = format!("an event bus of the sort `{other}` is not in this build");
            Err(Error::Events(message.into()))
        }
    }
}

#[cfg(feature = "nats")]
fn nats(url: &str, settings: &NatsSettings) -> Result<Opened> {
    use regatta_events_nats::{NatsBus, Options};

    let mut options = Options::new(url).with_prefix(&settings.prefix);
    options.replicas = settings.replicas as usize;
    options.credentials.clone_from(&settings.credentials);
    options.ca.clone_from(&settings.ca);
    let bus = NatsBus::try_new(options).map_err(|error| Error::Events(error.into()))?;
    Ok(Opened { bus: Arc::new(bus), database: None })
}

#[cfg(not(feature = "nats"))]
fn nats(_: &str, _: &NatsSettings) -> Result<Opened> {
    let message =
        "the event bus `nats` is not in this build; build with the feature `nats` of `regatta`";
    Err(Error::Events(message.into()))
}

/// The bus of all services in this process, as tests want it.
fn of_process() -> MemoryBus {
    static BUS: OnceLock<MemoryBus> = OnceLock::new();
    BUS.get_or_init(MemoryBus::default).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(url: &str) -> Result<bool> {
        let nats = NatsSettings::default();
        open(Some(url), &nats, &Options::default()).map(|opened| opened.database.is_some())
    }

    #[cfg(feature = "nats")]
    #[tokio::test]
    async fn what_is_set_for_nats_reaches_its_client() {
        type Change = fn(&mut NatsSettings);
        let changes: [(&str, Change); 4] = [
            ("prefix", |nats| nats.prefix = "a.b".to_owned()),
            ("replicas", |nats| nats.replicas = 2),
            ("credentials", |nats| nats.credentials = Some("/nowhere/app.creds".into())),
            ("ca", |nats| nats.ca = Some("/nowhere/ca.pem".into())),
        ];
        for (option, change) in changes {
            let mut nats = NatsSettings::default();
            change(&mut nats);
            let opened = open(Some("nats://127.0.0.1:1"), &nats, &Options::default());
            let Err(error) = opened else { panic!("{option} is refused") };
            assert!(error.is_setting());
            let text = regatta_core::Chain(&error).to_string();
            assert!(text.contains(option), "{text}");
        }
    }

    #[tokio::test]
    async fn a_bus_is_named_by_its_url_and_nothing_is_connected_to() {
        assert!(!opened("memory:").unwrap());
        assert!(opened("sqlite::memory:").unwrap());
        #[cfg(feature = "nats")]
        for url in ["nats://127.0.0.1:1", "nats://ada:secret@127.0.0.1:1,nats://127.0.0.1:2"] {
            assert!(!opened(url).unwrap(), "{url}");
        }
        for url in ["postgres://nobody@127.0.0.1:1/none", "postgresql://127.0.0.1:1/none"] {
            assert!(opened(url).unwrap(), "{url}");
        }
    }

    #[tokio::test]
    async fn another_url_is_refused_without_showing_its_password() {
        let error = opened("kafka://ada:secret@broker").unwrap_err();
        assert!(error.is_setting());
        let text = format!("{error:?}");
        assert!(text.contains("`kafka`") && text.contains("sqlite:"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
