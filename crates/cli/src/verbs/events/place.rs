//! Which bus a verb is about.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use regatta_database::{Database, Options};
use regatta_events::{BusError, EventBus, GroupName, GroupStanding};
use regatta_events_sql::SqlBus;
use regatta_supervisor::Bus;

use crate::failure::Failure;
use crate::system::Place;

/// Where the bus is.
#[derive(Debug, Args)]
pub(super) struct BusPlace {
    /// The bus, as in EVENTS_URL. Default: the one that `regatta up` gives its services; where the
    /// URL of that has a password, it is to be given here.
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
    /// Opens the bus, whose database must answer; makes none where there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub(super) async fn open(&self, place: &Place) -> Result<Arc<dyn EventBus>, Failure> {
        let url = match self.bus.as_deref().map(str::trim) {
            Some(url) if !url.is_empty() => url.to_owned(),
            _ => of_system(place)?,
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
        // A connection that is refused says more than a pool that waited for one.
        database.probe().await?;
        Ok(Arc::new(SqlBus::existing(&database)))
    }
}

/// The bus of the system: that of the one that runs, else the file that `up` makes where it is told
/// of no other bus.
fn of_system(place: &Place) -> Result<String, Failure> {
    let layout = place.layout_or_here()?;
    let Some(state) = place.state_of(&layout)? else {
        if regatta_supervisor::running(&layout)?.is_some() {
            return Err(Failure::new(
                "this system starts, and where its bus is is not known yet; try again when it runs, \
                 or give `--bus` or EVENTS_URL",
            ));
        }
        return Ok(format!("sqlite://{}", layout.events_file().display()));
    };
    match state.events {
        None => Ok(format!("sqlite://{}", layout.events_file().display())),
        Some(bus) => whole(bus),
    }
}

/// The URL, unless it lacks what is kept in no file.
fn whole(bus: Bus) -> Result<String, Failure> {
    match bus.is_whole {
        true => Ok(bus.url),
        false => Err(Failure::usage(format!(
            "this system's bus is `{}`, whose secret is kept in no file; give `--bus` or EVENTS_URL",
            bus.url
        ))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_whole_is_used_and_another_one_is_asked_for() {
        let bus = |is_whole| Bus { url: "postgres://app@db/events".to_owned(), is_whole };
        assert_eq!(whole(bus(true)).unwrap(), "postgres://app@db/events");
        let asked = whole(bus(false)).unwrap_err().to_string();
        assert!(asked.contains("`postgres://app@db/events`"), "{asked}");
    }
}
