//! Which event store a verb is about: that of a service, or one by its URL.

use clap::Args;
use regatta_database::{Database, Options};
use regatta_eventstore_sql::SqlStore;

use super::events::is_there;
use crate::failure::Failure;
use crate::system::Place;

/// Where the event store is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct StorePlace {
    /// The service whose events they are, as in the manifest.
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// The database they are in, as in DATABASE_URL.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

impl StorePlace {
    /// Opens the store, whose database must answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub(super) async fn open(&self, place: &Place) -> Result<SqlStore, Failure> {
        let url = match (&self.database, &self.service) {
            (Some(url), _) => url.clone(),
            (None, Some(service)) => of_service(place, service)?,
            (None, None) => return Err(Failure::usage("name a service with --service NAME")),
        };
        if url.starts_with("sqlite:") {
            is_there(&url)?;
        }
        let database = Database::open(&url, &Options::default())?;
        // A connection that is refused says more than a pool that waited for one.
        database.probe().await?;
        Ok(SqlStore::new(&database))
    }
}

/// What `up` tells the service.
fn of_service(place: &Place, name: &str) -> Result<String, Failure> {
    let (_, manifest) = place.manifest()?;
    let service = manifest.services.iter().find(|service| service.name.as_str() == name);
    let Some(service) = service else {
        let names: Vec<_> = manifest.services.iter().map(|known| known.name.as_str()).collect();
        let text = format!("the manifest has no service `{name}`; it has {}", names.join(", "));
        return Err(Failure::usage(text));
    };
    let own = service.env.iter().find(|(variable, _)| variable == "DATABASE_URL");
    Ok(match own {
        Some((_, url)) => url.clone(),
        None => format!("sqlite://{}", place.layout()?.database_file(name).display()),
    })
}
