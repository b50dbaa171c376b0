//! The event store in the service's own database, and its projections.

use std::sync::Arc;
use std::time::Duration;

use regatta_core::Chain;
use regatta_database::{Database, Transaction};
use regatta_eventstore::{
    Outbox, Position, Projection, ProjectionStore, Projector, Stage, StoreError,
};
use regatta_eventstore_sql::{Inbox, SqlStore};
use regatta_telemetry::opentelemetry::KeyValue;
use time::OffsetDateTime;

use super::samples;
use crate::health::Dependency;
use crate::{Result, Service};

/// How long the inbox remembers what it has seen: longer than a bus keeps an event by itself (seven
/// days), and than people leave a dead letter unlooked at.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// How often older entries are let go.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

impl Service {
    /// The event store, outbox and inbox in the service's own database; brings their tables up as
    /// [`Service::migrate`] does. Messages of the outbox that no bus takes show in `/health` under
    /// `outbox`. What the inbox has seen is forgotten after 30 days.
    ///
    /// # Errors
    ///
    /// [`Error::Own`](crate::Error::Own) when the tables do not fit the database.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the tables are brought up whole or not at all.
    pub async fn event_store(&self, database: &Database) -> Result<SqlStore> {
        self.migrate_schema(database, &regatta_eventstore_sql::SCHEMA).await?;
        let store = SqlStore::new(database);
        let probed = store.clone();
        self.depend(Dependency::new("outbox", false, move || {
            let store = probed.clone();
            async move { set_aside(store.backlog().await) }
        }));
        let database = database.clone();
        self.tasks().spawn("inbox", |drain| async move {
            let forget = async {
                loop {
                    tokio::time::sleep(FORGET_EVERY).await;
                    let before = OffsetDateTime::now_utc() - REMEMBERED;
                    if let Err(error) = Inbox::forget(&database, before).await {
                        tracing::warn!(error = %Chain(&error), "old entries stay in the inbox");
                    }
                }
            };
            drain.run_until_cancelled(forget).await;
        });
        Ok(store)
    }

    /// Keeps a projection up to date as a task of the service; each replica may run it. How many
    /// positions it lags behind the store is the gauge `regatta.projection.lag`. That it stands still
    /// after a release was rolled back shows in `/health` under `projection` and its name.
    pub fn project<P: Projection<Transaction>>(&self, store: &SqlStore, projection: P) {
        let name = projection.name().to_owned();
        let shared = Arc::new(store.clone());
        let projector = Projector::new(shared.clone(), shared, projection);
        let overtaken = projector.overtaken();
        self.depend(Dependency::new(&format!("projection {name}"), false, move || {
            let standing = overtaken.borrow().clone();
            async move { standing.map_or(Ok(()), Err) }
        }));
        self.tasks().spawn("projection", |drain| projector.run(drain));
        let gauge = self.telemetry.meter().u64_gauge("regatta.projection.lag");
        let gauge = gauge.with_description("Positions between the view and the store").build();
        let attributes = vec![KeyValue::new("regatta.projection.name", name.clone())];
        let store = store.clone();
        let ask = move || lag(store.clone(), name.clone());
        self.tasks().spawn("projection lag", |drain| samples::run([gauge], attributes, drain, ask));
    }
}

/// How far the active build lies behind the store.
async fn lag(store: SqlStore, projection: String) -> std::result::Result<[u64; 1], StoreError> {
    let builds = store.builds(&projection).await?;
    let active = builds.iter().find(|build| build.stage == Stage::Active);
    let position = active.map_or(Position::START, |build| build.position);
    let head = store.head().await?;
    Ok([head.get().saturating_sub(position.get())])
}

fn set_aside(
    backlog: std::result::Result<(u64, u64), StoreError>,
) -> std::result::Result<(), String> {
    match backlog {
        Ok((_, 0)) => Ok(()),
        Ok((_, aside)) => Err(format!(
            "{aside} messages are set aside, since no bus takes them; their reasons are in the \
             table regatta_outbox"
        )),
        Err(error) => Err(Chain(&error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_wait_are_fine_and_those_set_aside_are_told() {
        assert_eq!(set_aside(Ok((5, 0))), Ok(()));
        assert!(set_aside(Ok((0, 2))).unwrap_err().contains("2 messages"));
        let away = StoreError::Unavailable("gone".into());
        assert!(set_aside(Err(away)).unwrap_err().contains("gone"));
    }
}
