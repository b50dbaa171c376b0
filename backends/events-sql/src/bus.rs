//! The bus over a database.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regatta_database::{
    Changes, Database, Error as DatabaseError, executing, in_transaction, reading, writing,
};
use regatta_events::{
    BusError, CloudEvent, DeadLetter, Deliveries, EventBus, GroupName, GroupStanding, HistoryQuery,
    Logged, Redrive, Start, Subscription,
};
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use crate::deliveries::SqlDeliveries;
use crate::engine::{failed, from_micros, length, signed};
use crate::trimming::{SLICE, Trimming};
use crate::{failures, groups, log};

/// A bus on a log in a database; clones, and processes with the same database, share it.
#[derive(Clone, Debug)]
pub struct SqlBus {
    pub(crate) database: Database,
    pub(crate) changes: Changes,
    trimming: Trimming,
    /// Claims and acknowledgements that are not cut off when who wanted them goes.
    pub(crate) tasks: TaskTracker,
    /// Set once the tables are known to be there.
    schema: Arc<OnceCell<()>>,
    makes_tables: bool,
}

impl SqlBus {
    /// The bus in this database, whose schema is that of [`crate::SCHEMA`].
    pub fn new(database: &Database) -> Self {
        let schema = Arc::new(OnceCell::new_with(Some(())));
        Self { schema, ..Self::migrating(database) }
    }

    /// The bus in this database if there is one: it makes no tables, and without them each call fails
    /// with [`BusError::Absent`]. For who only looks.
    pub fn existing(database: &Database) -> Self {
        Self { makes_tables: false, ..Self::migrating(database) }
    }

    /// The bus in this database, whose tables are made with the first call that reaches it: for a
    /// process that starts while its bus is away.
    pub fn migrating(database: &Database) -> Self {
        let changes = database.changes("regatta_bus");
        let (database, schema) = (database.clone(), Arc::default());
        let (trimming, tasks) = (Trimming::default(), TaskTracker::new());
        Self { database, changes, trimming, tasks, schema, makes_tables: true }
    }

    /// Makes the tables, or sees that they are there, unless they are known to be.
    pub(crate) async fn ready(&self) -> Result<(), BusError> {
        let see = async || match self.makes_tables {
            true => self.migrate().await,
            false => match log::is_there(&self.database).await.map_err(failed)? {
                true => Ok(()),
                false => Err(BusError::Absent),
            },
        };
        self.schema.get_or_try_init(see).await.map(drop)
    }

    async fn migrate(&self) -> Result<(), BusError> {
        let migrated = self.database.migrate_schema(&crate::SCHEMA).await;
        migrated.map_err(|error| match error.is_unavailable() {
            true => BusError::Unavailable(error.into()),
            false => BusError::Broken(error.into()),
        })
    }

    /// Lets go of at most 1000 events that are older than this and that no group needs; answers how
    /// many. A process with subscribers lets go of all that are older than seven days, when it begins
    /// and every 10 minutes: 1000 at a time, with 100 ms between for those who write.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the database does not answer.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have let go of some.
    pub async fn trim(&self, older_than: Duration) -> Result<u64, BusError> {
        log::trim(&self.database, length(older_than), SLICE).await.map_err(failed)
    }
}

#[async_trait]
impl EventBus for SqlBus {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), BusError> {
        self.ready().await?;
        log::publish(&self.database, events).await?;
        self.changes.announce();
        Ok(())
    }

    async fn subscribe(&self, asks: Subscription) -> Result<Box<dyn Deliveries>, BusError> {
        asks.validate()?;
        self.ready().await?;
        let start = log::start(&self.database, asks.start).await.map_err(failed)?;
        let insert = "INSERT INTO regatta_bus_groups (name, position) VALUES ($1, $2)
            ON CONFLICT (name) DO NOTHING";
        writing!(self.database, |pool| {
            sqlx::query(insert).bind(asks.group.as_str()).bind(start).execute(pool)
        })
        .map_err(failed)?;
        self.trimming.start(&self.database, &self.tasks);
        Ok(Box::new(SqlDeliveries::new(self.clone(), asks)))
    }

    async fn probe(&self) -> Result<(), BusError> {
        self.ready().await?;
        self.database.probe().await.map_err(failed)
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Logged>, BusError> {
        self.ready().await?;
        log::history(&self.database, query).await
    }

    async fn replay(&self, group: &GroupName, start: Start) -> Result<(), BusError> {
        self.ready().await?;
        let start = log::start(&self.database, start).await.map_err(failed)?;
        let update = "UPDATE regatta_bus_groups SET position = $2 WHERE name = $1";
        let moved = writing!(self.database, |pool| {
            sqlx::query(update).bind(group.as_str()).bind(start).execute(pool)
        });
        if moved.map_err(failed)? == 0 {
            return Err(BusError::UnknownGroup { group: group.clone() });
        }
        self.changes.announce();
        Ok(())
    }

    async fn dead_letters(
        &self,
        group: &GroupName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        self.ready().await?;
        let select = "SELECT d.position, d.reason, d.failures, d.died_at, l.event
            FROM regatta_bus_dead d JOIN regatta_bus_log l ON l.position = d.position
            WHERE d.consumer = $1 AND d.position > $2 ORDER BY d.position LIMIT $3";
        let rows: Vec<(i64, String, String, i64, String)> = reading!(self.database, |pool| {
            sqlx::query_as(select)
                .bind(group.as_str())
                .bind(signed(after))
                .bind(i64::from(limit))
                .fetch_all(pool)
        })
        .map_err(failed)?;
        let letter = |(position, reason, failures, died_at, event): (i64, _, String, _, String)| {
            Ok(DeadLetter {
                position: position.unsigned_abs(),
                event: log::read(&event)?,
                reason,
                failures: failures::from_text(&failures)?,
                died_at: from_micros(died_at),
            })
        };
        rows.into_iter().map(letter).collect()
    }

    async fn redrive(&self, group: &GroupName, redrive: &Redrive) -> Result<u64, BusError> {
        self.ready().await?;
        let redriving = async {
            let mut tx = self.database.begin().await?;
            let select = "SELECT position FROM regatta_bus_dead WHERE consumer = $1
                ORDER BY position";
            let dead: Vec<(i64,)> = in_transaction!(&mut tx, |connection| {
                sqlx::query_as(select).bind(group.as_str()).fetch_all(connection)
            })?;
            let dead = dead.into_iter().map(|(position,)| position);
            let wanted: Vec<_> = match redrive {
                Redrive::Oldest(count) => dead.take(*count as usize).collect(),
                Redrive::Positions(positions) => {
                    dead.filter(|dead| positions.contains(&dead.unsigned_abs())).collect()
                }
            };
            let mut redriven = 0;
            for position in wanted {
                for statement in [
                    "INSERT INTO regatta_bus_open (consumer, position, partition_key)
                     SELECT $1, position, partition_key FROM regatta_bus_log WHERE position = $2
                     ON CONFLICT DO NOTHING",
                    "DELETE FROM regatta_bus_dead WHERE consumer = $1 AND position = $2",
                ] {
                    executing!(&mut tx, |connection| {
                        sqlx::query(statement)
                            .bind(group.as_str())
                            .bind(position)
                            .execute(connection)
                    })?;
                }
                redriven += 1;
            }
            tx.commit().await?;
            Ok::<u64, DatabaseError>(redriven)
        };
        let redriven = self.database.query("UPDATE", "regatta_bus_dead", redriving).await;
        self.changes.announce();
        redriven.map_err(failed)
    }
    async fn groups(&self) -> Result<Vec<GroupStanding>, BusError> {
        self.ready().await?;
        groups::standings(&self.database, None).await
    }

    async fn standing(&self, group: &GroupName) -> Result<GroupStanding, BusError> {
        self.ready().await?;
        let found = groups::standings(&self.database, Some(group)).await?.pop();
        found.ok_or_else(|| BusError::UnknownGroup { group: group.clone() })
    }

    async fn forget(&self, group: &GroupName) -> Result<bool, BusError> {
        self.ready().await?;
        let forget = groups::forget(&self.database, group);
        self.database.query("DELETE", "regatta_bus_groups", forget).await.map_err(failed)
    }
}
