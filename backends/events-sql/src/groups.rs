//! Which groups there are, and how far each has come.

use regatta_database::reading;
use regatta_events::BusError;

use crate::SqlBus;
use crate::engine::failed;

/// A consumer group and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStanding {
    /// Its name.
    pub name: String,
    /// Up to where the log was handed to it.
    pub position: u64,
    /// How many numbers of the log lie after that; what its filter leaves out counts too.
    pub behind: u64,
    /// How many events are being handled, or wait to be.
    pub open: u64,
    /// How many are dead letters.
    pub dead: u64,
}

impl SqlBus {
    /// Every group that is known, by name.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the database does not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn groups(&self) -> Result<Vec<GroupStanding>, BusError> {
        self.ready().await?;
        let select = "SELECT name, position,
                (SELECT count(*) FROM regatta_bus_open o WHERE o.consumer = g.name),
                (SELECT count(*) FROM regatta_bus_dead d WHERE d.consumer = g.name)
            FROM regatta_bus_groups g ORDER BY name";
        let rows: Vec<(String, i64, i64, i64)> =
            reading!(self.database, |pool| sqlx::query_as(select).fetch_all(pool))
                .map_err(failed)?;
        // Read after the groups, so that none is ahead of it.
        let head = crate::log::head(&self.database).await.map_err(failed)?;
        let standing = |(name, position, open, dead): (String, i64, i64, i64)| GroupStanding {
            name,
            position: position.unsigned_abs(),
            behind: (head - position).max(0).unsigned_abs(),
            open: open.unsigned_abs(),
            dead: dead.unsigned_abs(),
        };
        Ok(rows.into_iter().map(standing).collect())
    }
}
