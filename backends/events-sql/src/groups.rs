//! Which groups there are, and how far each has come.

use regatta_database::{Database, Error as DatabaseError, executing, reading};
use regatta_events::{BusError, GroupName, GroupStanding};

use crate::engine::failed;
use crate::log;

/// How far all groups are, or this one, by name.
pub(crate) async fn standings(
    database: &Database,
    group: Option<&GroupName>,
) -> Result<Vec<GroupStanding>, BusError> {
    let select = "SELECT name, position,
            (SELECT count(*) FROM regatta_bus_open o WHERE o.consumer = g.name),
            (SELECT count(*) FROM regatta_bus_dead d WHERE d.consumer = g.name)
        FROM regatta_bus_groups g WHERE CAST($1 AS TEXT) IS NULL OR name = $1 ORDER BY name";
    let group = group.map(GroupName::as_str);
    let select =
        async { reading!(database, |pool| sqlx::query_as(select).bind(group).fetch_all(pool)) };
    let rows: Vec<(String, i64, i64, i64)> =
        database.query("SELECT", "regatta_bus_groups", select).await.map_err(failed)?;
    // Read after the groups, so that none is ahead of it.
    let head = log::head(database).await.map_err(failed)?;
    let standing = |(name, position, open, dead): (String, i64, i64, i64)| {
        Ok(GroupStanding {
            group: GroupName::try_new(name).map_err(|error| BusError::Broken(error.into()))?,
            position: position.unsigned_abs(),
            behind: (head - position).max(0).unsigned_abs(),
            open: open.unsigned_abs(),
            dead: dead.unsigned_abs(),
        })
    };
    let mut standings: Vec<_> = rows.into_iter().map(standing).collect::<Result<_, BusError>>()?;
    // The server's order of texts may be another.
    standings.sort_unstable_by(|one, two| one.group.cmp(&two.group));
    Ok(standings)
}

/// Takes a group off with all it has; false when it is not known.
pub(crate) async fn forget(database: &Database, group: &GroupName) -> Result<bool, DatabaseError> {
    let mut tx = database.begin().await?;
    let mut known = 0;
    for delete in [
        "DELETE FROM regatta_bus_open WHERE consumer = $1",
        "DELETE FROM regatta_bus_dead WHERE consumer = $1",
        "DELETE FROM regatta_bus_groups WHERE name = $1",
    ] {
        known = executing!(&mut tx, |connection| {
            sqlx::query(delete).bind(group.as_str()).execute(connection)
        })?;
    }
    tx.commit().await?;
    Ok(known > 0)
}
