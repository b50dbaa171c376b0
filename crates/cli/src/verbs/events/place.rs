//! Which bus a verb is about.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use regatta_database::{Database, Options};
use regatta_events::{BusError, EventBus, GroupName, GroupStanding};
use regatta_events_sql::SqlBus;

use crate::failure::Failure;
use crate::system::Place;

/// Where the bus is.
#[derive(Debug, Args)]
pub(super) struct BusPlace {
    /// The bus, as in EVENTS_URL. Default: the one that `regatta up` gives its services.
    #[arg(long, value_name = "URL", env = "EVENTS_URL", hide_env_values = true)]
    bus: Option<String>,
    #[command(flatten)]
    nats: Nats,
}

/// What of a bus NATS needs to know, as in the settings `events.nats`.
#[derive(Debug, Args)]
struct Nats {
    /// What names the streams and subjects of a bus on NATS.
    #[arg(long, value_name = "NAME", env = "EVENTS__NATS__PREFIX", default_value = "regatta")]
    nats_prefix: String,
    /// File with the credentials of a user of NATS.
    #[arg(long, value_name = "FILE", env = "EVENTS__NATS__CREDENTIALS")]
    nats_credentials: Option<PathBuf>,
    /// PEM file with the certificates of who vouches for NATS; TLS is required then.
    #[arg(long, value_name = "FILE", env = "EVENTS__NATS__CA")]
    nats_ca: Option<PathBuf>,
}

impl BusPlace {
    /// Opens the bus; connects to nothing yet, and makes none where there is none.
    pub(super) fn open(&self, place: &Place) -> Result<Arc<dyn EventBus>, Failure> {
        let url = match &self.bus {
            Some(url) => url.trim().to_owned(),
            None => format!("sqlite://{}", place.layout_or_here()?.events_file().display()),
        };
        let scheme = url.split_once(':').map_or(&*url, |(scheme, _)| scheme);
        match scheme {
            "sqlite" => is_there(&url)?,
            "postgres" | "postgresql" => (),
            "nats" | "tls" => return nats(&url, &self.nats),
            other => {
                let text = format!("a bus of the sort `{other}` cannot be looked into from here");
                return Err(Failure::usage(format!("{text}; use sqlite:, postgres: or nats:")));
            }
        }
        let database = Database::open(&url, &Options::default())?;
        Ok(Arc::new(SqlBus::existing(&database)))
    }
}

/// How far a group is; one that was mistyped is told of.
pub(super) async fn known(bus: &dyn EventBus, group: &GroupName) -> Result<GroupStanding, Failure> {
    bus.standing(group).await.map_err(|error| match error {
        BusError::UnknownGroup { .. } => Failure::new(format!(
            "consumer group `{group}` is not known; `regatta events groups` shows those that are"
        )),
        error => error.into(),
    })
}

#[cfg(feature = "nats")]
fn nats(url: &str, nats: &Nats) -> Result<Arc<dyn EventBus>, Failure> {
    use regatta_events_nats::{NatsBus, Options};

    let mut options = Options::new(url).existing().with_prefix(&nats.nats_prefix);
    options.credentials.clone_from(&nats.nats_credentials);
    options.ca.clone_from(&nats.nats_ca);
    Ok(Arc::new(NatsBus::try_new(options)?))
}

#[cfg(not(feature = "nats"))]
fn nats(_: &str, _: &Nats) -> Result<Arc<dyn EventBus>, Failure> {
    let text = "the event bus `nats` is not in this build; build with `--features nats`";
    Err(Failure::usage(text))
}

/// To look into a file must not make it.
pub(crate) fn is_there(url: &str) -> Result<(), Failure> {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    match Path::new(path).is_file() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "there is no file `{path}` yet; `regatta up` makes it, or name another one"
        ))),
    }
}

/// A consumer group as it is typed.
pub(super) fn group(text: &str) -> Result<GroupName, String> {
    GroupName::try_new(text).map_err(|error| error.to_string())
}
