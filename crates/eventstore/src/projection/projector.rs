//! Keeps a projection up to date, builds its next generation beside it, and switches.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use regatta_core::Chain;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::standstill::{Look, Standstill};
use super::{Build, Effects, Overtaken, Projection, ProjectionError, ProjectionStore, Stage, Step};
use crate::{EventStore, Page, Position, backoff};

/// How many events one transaction takes: SQLite's other writers wait for it.
const PAGE: u32 = 100;
/// Over how many events that the filter leaves out a checkpoint is moved at the latest.
const SKIPPED: u64 = 1000;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a projector looks whether there is something for it again, when a later release's build
/// is the active one: this long a rebuild that is asked for waits.
const REST: Duration = Duration::from_secs(5);

/// Runs a projection. Any number of processes may run the same one: one at a time works.
///
/// When the code's revision is higher than that of the active build, or a rebuild was asked for, new
/// tables are filled beside the old ones while those stay up to date and are read; when the new ones
/// are level they take over, in one transaction. The build that was replaced stays until the next one
/// is.
pub struct Projector<S, P> {
    events: Arc<dyn EventStore>,
    views: Arc<S>,
    projection: P,
    overtaken: watch::Sender<Option<Overtaken>>,
}

/// How far each build has looked, which may be beyond its checkpoint.
#[derive(Debug, Default)]
struct Progress {
    looked: HashMap<u32, Position>,
    /// Builds after which the last read found nothing.
    level: HashMap<u32, bool>,
    /// While a later release's build is the active one.
    standstill: Option<Standstill>,
}

impl<S, P> fmt::Debug for Projector<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projector").finish_non_exhaustive()
    }
}

impl<S: ProjectionStore, P: Projection<S::Tx>> Projector<S, P> {
    /// A projector over the events of one store, with its views in the same database or another.
    pub fn new(events: Arc<dyn EventStore>, views: Arc<S>, projection: P) -> Self {
        Self { events, views, projection, overtaken: watch::Sender::default() }
    }

    /// That the view stands still, while it does, because a later release has taken it over and
    /// nobody goes on with it: known after a minute, and a warning in the log each minute.
    pub fn overtaken(&self) -> watch::Receiver<Option<Overtaken>> {
        self.overtaken.subscribe()
    }

    /// Runs until `drain` is cancelled; the transaction under way is finished.
    ///
    /// A failure is logged and tried again, at first after 100 ms or less, at last within 30 s.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction under way is rolled back.
    pub async fn run(self, drain: CancellationToken) {
        let mut progress = Progress::default();
        let mut failures = 0;
        while !drain.is_cancelled() {
            let pause = match self.turn(&mut progress).await {
                Ok(true) => {
                    failures = 0;
                    continue;
                }
                Ok(false) => {
                    failures = 0;
                    progress.standstill.map(|_| REST)
                }
                Err(error) => {
                    failures += 1;
                    let (projection, error) = (self.projection.name(), Chain(&*error));
                    tracing::warn!(projection, %error, "projection stopped; trying again");
                    let random = rand::random();
                    Some(backoff::pause(failures, FIRST_PAUSE, LONGEST_PAUSE, random))
                }
            };
            let looked = progress.looked.values().max().copied().unwrap_or_default();
            tokio::select! {
                () = drain.cancelled() => (),
                () = self.wait(pause, looked) => (),
            }
        }
    }

    /// Runs until there is nothing to do, and answers what there is then. For tests and for tools.
    ///
    /// # Errors
    ///
    /// The first failure; what was committed before it stays.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction under way is rolled back.
    pub async fn catch_up(&self) -> Result<Vec<Build>, ProjectionError> {
        let mut progress = Progress::default();
        while self.turn(&mut progress).await? {}
        Ok(self.views.builds(self.projection.name()).await?)
    }

    async fn wait(&self, pause: Option<Duration>, looked: Position) {
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => self.events.wait(looked).await,
        }
    }

    /// Does what there is to do now, once; false when there was nothing.
    async fn turn(&self, progress: &mut Progress) -> Result<bool, ProjectionError> {
        let builds = self.views.builds(self.projection.name()).await?;
        let steps = self.plan(&builds, progress);
        if steps.contains(&Step::Rest) {
            self.rest(&builds, progress).await?;
            return Ok(false);
        }
        progress.standstill = None;
        self.tell(None);
        let mut did = false;
        for step in steps {
            did |= match step {
                Step::Begin { .. } | Step::Promote { .. } => self.change(step, progress).await?,
                Step::Advance { generation, from, until } => {
                    self.advance(generation, from, until, progress).await?
                }
                Step::Rest => false,
            };
        }
        Ok(did)
    }

    fn plan(&self, builds: &[Build], progress: &Progress) -> Vec<Step> {
        let is_level = |generation| progress.level.get(&generation) == Some(&true);
        Step::plan(builds, self.projection.revision(), is_level)
    }

    /// Looks whether somebody goes on with the view that a later release has taken over.
    async fn rest(&self, builds: &[Build], progress: &mut Progress) -> Result<(), ProjectionError> {
        let now = Instant::now().into_std();
        let active = builds.iter().find(|build| build.stage == Stage::Active);
        let (position, later) =
            active.map_or_else(Default::default, |active| (active.position, active.revision));
        let standstill = progress.standstill.get_or_insert(Standstill::new(position, now));
        match standstill.look(position, now) {
            Look::Waits => (),
            Look::Moves => self.tell(None),
            // Where nothing happens a view does not move either.
            Look::Stands => {
                let lacks = self.events.read_all(position, &self.projection.filter(), 1).await?;
                let (projection, own) =
                    (self.projection.name().to_owned(), self.projection.revision());
                let is_behind = active.is_some() && !lacks.events.is_empty();
                self.tell(is_behind.then_some(Overtaken { projection, own, later }));
            }
        }
        Ok(())
    }

    fn tell(&self, overtaken: Option<Overtaken>) {
        if let Some(overtaken) = &overtaken {
            tracing::warn!("{overtaken}");
        }
        self.overtaken.send_if_modified(|known| {
            let differs = *known != overtaken;
            *known = overtaken;
            differs
        });
    }

    /// Takes the next page of events into a build.
    async fn advance(
        &self,
        generation: u32,
        from: Position,
        until: Option<Position>,
        progress: &mut Progress,
    ) -> Result<bool, ProjectionError> {
        let looked = progress.looked.get(&generation).copied().unwrap_or_default().max(from);
        let filter = self.projection.filter();
        let page = self.events.read_all(looked, &filter, PAGE).await?;
        let page = cut(page, until);
        let was_level = progress.level.insert(generation, page.is_last) == Some(true);
        let is_due = !page.events.is_empty()
            || page.next.get() - from.get() >= SKIPPED
            // Where it must be level with another build, to the last number.
            || (until == Some(page.next) && page.next != from);
        if !is_due {
            let moved = page.next > looked;
            progress.looked.insert(generation, page.next);
            // The first build of all takes over once it has looked at everything, if it is nothing.
            return Ok(moved || !page.is_last || !was_level);
        }
        let name = self.projection.name();
        let Some((mut tx, builds)) = self.views.begin(name).await? else { return Ok(false) };
        let Some(build) = builds.iter().find(|build| build.generation == generation) else {
            return Ok(true);
        };
        if build.position != from {
            // Another process was faster.
            return Ok(true);
        }
        let mut effects = Effects::default();
        for event in &page.events {
            self.projection.apply(&mut tx, generation, event, &mut effects).await?;
        }
        if build.stage == Stage::Active {
            self.views.publish(&mut tx, &effects.into_messages()).await?;
        }
        self.views.put(&mut tx, name, Build { position: page.next, ..*build }).await?;
        self.views.commit(tx).await?;
        progress.looked.insert(generation, page.next);
        Ok(true)
    }

    /// Begins or promotes a build, if that is still the thing to do.
    async fn change(&self, step: Step, progress: &Progress) -> Result<bool, ProjectionError> {
        let name = self.projection.name();
        let Some((mut tx, builds)) = self.views.begin(name).await? else { return Ok(false) };
        if !self.plan(&builds, progress).contains(&step) {
            return Ok(true);
        }
        match step {
            Step::Begin { generation } => {
                self.projection.create(&mut tx, generation).await?;
                let (revision, position) = (self.projection.revision(), Position::START);
                let build = Build { generation, revision, stage: Stage::Building, position };
                self.views.put(&mut tx, name, build).await?;
                tracing::info!(projection = name, generation, "projection is being built");
            }
            Step::Promote { generation } => {
                for build in builds {
                    self.step_aside(&mut tx, build, generation).await?;
                }
                tracing::info!(projection = name, generation, "projection has taken over");
            }
            Step::Advance { .. } | Step::Rest => (),
        }
        self.views.commit(tx).await?;
        Ok(true)
    }

    /// What becomes of a build when this generation takes over.
    async fn step_aside(
        &self,
        tx: &mut S::Tx,
        build: Build,
        promoted: u32,
    ) -> Result<(), ProjectionError> {
        let name = self.projection.name();
        let stage = match build.stage {
            _ if build.generation == promoted => Stage::Active,
            Stage::Active => Stage::Retired,
            // Asked for since.
            _ if build.generation > promoted => return Ok(()),
            Stage::Requested => {
                return Ok(self.views.forget(tx, name, build.generation).await?);
            }
            Stage::Building | Stage::Retired => {
                self.projection.remove(tx, build.generation).await?;
                return Ok(self.views.forget(tx, name, build.generation).await?);
            }
        };
        Ok(self.views.put(tx, name, Build { stage, ..build }).await?)
    }
}

/// The page up to a position.
fn cut(mut page: Page, until: Option<Position>) -> Page {
    if let Some(until) = until.filter(|until| page.next >= *until) {
        page.events.retain(|event| event.position <= until);
        page.next = until;
        page.is_last = true;
    }
    page
}
