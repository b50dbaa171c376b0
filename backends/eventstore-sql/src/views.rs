//! The builds of projections, in the database of their views.

use std::time::Duration;

use async_trait::async_trait;
use regatta_database::{Error as DatabaseError, Transaction, executing, in_transaction, reading};
use regatta_events::CloudEvent;
use regatta_eventstore::{Build, EventStore, Position, ProjectionStore, Stage, StoreError};

use crate::SqlStore;
use crate::engine::{broken, failed, signed, unsigned};

const SELECT: &str = "SELECT generation, revision, stage, position FROM regatta_projections
    WHERE name = $1 ORDER BY generation";
/// How often, and how long apart, a rebuild is asked for while a projector is at work.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

type Row = (i64, i64, String, i64);

impl SqlStore {
    /// The generation of a projection's tables that queries read; none before its first build is
    /// level.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; reads may be repeated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn active_generation(&self, projection: &str) -> Result<Option<u32>, StoreError> {
        let builds = self.builds(projection).await?;
        let active = builds.into_iter().find(|build| build.stage == Stage::Active);
        Ok(active.map(|build| build.generation))
    }

    /// The names of all projections that were ever begun here.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; reads may be repeated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn projections(&self) -> Result<Vec<String>, StoreError> {
        let select = "SELECT DISTINCT name FROM regatta_projections ORDER BY name";
        let names: Vec<(String,)> = reading!(self.database, |pool| sqlx::query_as(select)
            .fetch_all(pool))
        .map_err(failed)?;
        Ok(names.into_iter().map(|(name,)| name).collect())
    }
}

#[async_trait]
impl ProjectionStore for SqlStore {
    type Tx = Transaction;

    async fn builds(&self, projection: &str) -> Result<Vec<Build>, StoreError> {
        let rows: Vec<Row> = reading!(self.database, |pool| {
            sqlx::query_as(SELECT).bind(projection).fetch_all(pool)
        })
        .map_err(failed)?;
        rows.into_iter().map(build).collect()
    }

    async fn begin(
        &self,
        projection: &str,
    ) -> Result<Option<(Transaction, Vec<Build>)>, StoreError> {
        let mut transaction = self.database.begin().await.map_err(failed)?;
        if let Transaction::Postgres(postgres) = &mut transaction {
            let lock = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))";
            let lock = sqlx::query_scalar(lock).bind(format!("regatta_projections {projection}"));
            let is_mine = lock.fetch_one(&mut **postgres).await;
            if !is_mine.map_err(DatabaseError::from).map_err(failed)? {
                return Ok(None);
            }
        }
        let rows: Vec<Row> = in_transaction!(&mut transaction, |connection| {
            sqlx::query_as(SELECT).bind(projection).fetch_all(connection)
        })
        .map_err(failed)?;
        let builds = rows.into_iter().map(build).collect::<Result<_, _>>()?;
        Ok(Some((transaction, builds)))
    }

    async fn put(
        &self,
        tx: &mut Transaction,
        projection: &str,
        build: Build,
    ) -> Result<(), StoreError> {
        let upsert = "INSERT INTO regatta_projections (name, generation, revision, stage, position)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (name, generation) DO UPDATE SET
                revision = excluded.revision, stage = excluded.stage, position = excluded.position";
        executing!(tx, |connection| {
            sqlx::query(upsert)
                .bind(projection)
                .bind(i64::from(build.generation))
                .bind(i64::from(build.revision))
                .bind(stage_name(build.stage))
                .bind(signed(build.position.get()))
                .execute(connection)
        })
        .map(drop)
        .map_err(failed)
    }

    async fn forget(
        &self,
        tx: &mut Transaction,
        projection: &str,
        generation: u32,
    ) -> Result<(), StoreError> {
        let delete = "DELETE FROM regatta_projections WHERE name = $1 AND generation = $2";
        executing!(tx, |connection| {
            sqlx::query(delete).bind(projection).bind(i64::from(generation)).execute(connection)
        })
        .map(drop)
        .map_err(failed)
    }

    async fn publish(
        &self,
        tx: &mut Transaction,
        messages: &[CloudEvent],
    ) -> Result<(), StoreError> {
        self.enqueue(tx, messages).await
    }

    async fn commit(&self, tx: Transaction) -> Result<(), StoreError> {
        tx.commit().await.map_err(failed)?;
        // Messages may have come with it.
        self.changes.announce();
        Ok(())
    }

    async fn request_rebuild(
        &self,
        projection: &str,
        revision: Option<u32>,
    ) -> Result<Option<u32>, StoreError> {
        for _ in 0..TRIES {
            let Some((mut tx, builds)) = self.begin(projection).await? else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let active = builds.iter().find(|build| build.stage == Stage::Active);
            let Some(active) = active else { return Ok(None) };
            let newest = builds.iter().map(|build| build.generation).max().unwrap_or_default();
            let build = Build {
                generation: newest + 1,
                revision: revision.unwrap_or(active.revision),
                stage: Stage::Requested,
                position: Position::START,
            };
            self.put(&mut tx, projection, build).await?;
            self.commit(tx).await?;
            return Ok(Some(build.generation));
        }
        Err(StoreError::Unavailable("a projector held the projection for 10 s".into()))
    }

    async fn wait(&self, after: Position) {
        EventStore::wait(self, after).await;
    }
}

fn build((generation, revision, stage, position): Row) -> Result<Build, StoreError> {
    Ok(Build {
        generation: u32::try_from(generation).map_err(broken)?,
        revision: u32::try_from(revision).map_err(broken)?,
        stage: match stage.as_str() {
            "requested" => Stage::Requested,
            "building" => Stage::Building,
            "active" => Stage::Active,
            "retired" => Stage::Retired,
            other => return Err(broken(format!("`{other}` is no stage of a projection"))),
        },
        position: Position::new(unsigned(position)),
    })
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Requested => "requested",
        Stage::Building => "building",
        Stage::Active => "active",
        Stage::Retired => "retired",
    }
}
