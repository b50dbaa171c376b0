//! What the services keep their data in, and what their events travel over.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, bail};
use regatta_testkit::{Nats, Postgres};

/// The engines of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engines {
    /// A SQLite file for each service and one for the bus.
    Sqlite,
    /// One PostgreSQL server: a database for each service and one for the bus.
    Postgres,
    /// One PostgreSQL server for the services' data, a NATS server for the bus.
    PostgresNats,
}

impl FromStr for Engines {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" => Ok(Self::Postgres),
            "postgres+nats" => Ok(Self::PostgresNats),
            other => bail!("`{other}` are no engines; use sqlite, postgres or postgres+nats"),
        }
    }
}

/// Running engines, gone with this value.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) postgres: Option<Postgres>,
    pub(super) nats: Option<Nats>,
    pub(super) orders: String,
    pub(super) payments: String,
    pub(super) users: String,
    pub(super) events: String,
}

impl Engines {
    /// Starts what is a server, and makes a database for each service.
    pub(super) async fn start(self, folder: &Path) -> Result<Running> {
        let file = |name: &str| format!("sqlite://{}/{name}.db", folder.display());
        let users = file("users");
        Ok(match self {
            Self::Sqlite => Running {
                postgres: None,
                nats: None,
                orders: file("orders"),
                payments: file("payments"),
                users,
                events: file("events"),
            },
            Self::Postgres | Self::PostgresNats => {
                let server = Postgres::start().await?;
                let nats = match self {
                    Self::PostgresNats => Some(Nats::start().await?),
                    _ => None,
                };
                let events = match &nats {
                    Some(nats) => nats.url(),
                    None => server.database().await?,
                };
                Running {
                    orders: server.database().await?,
                    payments: server.database().await?,
                    users,
                    events,
                    postgres: Some(server),
                    nats,
                }
            }
        })
    }
}
