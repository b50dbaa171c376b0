//! Runs a whole system: build, start in order, keep, stop.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use regatta_core::Chain;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address::{Address, choose};
use crate::backoff::Backoff;
use crate::board::Board;
use crate::build::{self, Executables, Profile};
use crate::bus::Bus;
use crate::clock;
use crate::down::leftovers;
use crate::environment::{Facts, events_url, told_bus};
use crate::error::Error;
use crate::event::Event;
use crate::keeper::{Keeper, Shared};
use crate::layout::Layout;
use crate::lock::{Lock, Taken};
use crate::logs::Journal;
use crate::order::stop_levels;
use crate::part::{Kind, Part};
use crate::plan::Plan;
use crate::process::{Identity, Launcher, end_all, identity};
use crate::registration::{Registry, RegistryClient};
use crate::secret::development_secret;
use crate::state::{PartState, PartStatus, State};
use crate::state_file::StateFile;

/// Events kept for a listener that is slow; it learns how many it missed.
const KEPT_EVENTS: usize = 4096;

/// What a supervisor runs, and how patient it is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The parts.
    pub plan: Plan,
    /// Where it keeps its files. Default `.regatta/` beside the manifest.
    pub layout: Layout,
    /// The `regatta` program, which is also the control plane and the gateway.
    pub program: PathBuf,
    /// The cargo profile of the services.
    pub profile: Profile,
    /// How long a part may take to become ready. Default 30 s.
    pub ready_within: Duration,
    /// How long all parts together may take to end; what is left then is killed. Default 30 s: they
    /// end level by level, a service takes 15 s at the most and mostly one.
    pub stop_within: Duration,
    /// Registers the parts that do not register themselves, and tells which parts are listed;
    /// without it none are registered, and a part that answers is ready.
    pub registry: Option<Registry>,
    /// When a part that died starts again.
    pub backoff: Backoff,
}

impl Settings {
    /// The defaults for this plan, with the services built as this program was.
    pub fn new(plan: Plan, program: PathBuf) -> Self {
        Self {
            layout: Layout::beside(&plan.manifest),
            plan,
            profile: Profile::of_program(&program),
            program,
            ready_within: Duration::from_secs(30),
            stop_within: Duration::from_secs(30),
            registry: None,
            backoff: Backoff::default(),
        }
    }
}

/// Runs a system; made with the lock on its `.regatta/` in hand.
#[derive(Debug)]
pub struct Supervisor {
    settings: Settings,
    layout: Layout,
    events: broadcast::Sender<Event>,
    _lock: Lock,
}

impl Supervisor {
    /// Makes `.regatta/` and takes the lock on it.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyRunning`], or [`Error::File`].
    pub fn try_new(settings: Settings) -> Result<Self, Error> {
        let layout = settings.layout.clone();
        layout.create().map_err(Error::file("cannot make", layout.root()))?;
        let lock = Lock::take(&layout.lock_file()).map_err(|taken| match taken {
            Taken::By(holder) => Error::AlreadyRunning { holder },
            Taken::Io(source) => Error::file("cannot lock", layout.lock_file())(source),
        })?;
        Ok(Self { settings, layout, events: broadcast::Sender::new(KEPT_EVENTS), _lock: lock })
    }

    /// Everything that happens from now on. A listener that falls 4096 events behind misses some and
    /// is told how many; the supervisor never waits for it.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Builds and starts everything, and keeps it running until `stop`; then ends everything in
    /// reverse order. `hurry` ends everything at once.
    ///
    /// # Errors
    ///
    /// [`Error`] when something could not start. Nothing runs any more when this returns.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: processes of a dropped run are killed without asking, those they started
    /// are left to [`crate::clean`].
    pub async fn run(self, stop: CancellationToken, hurry: CancellationToken) -> Result<(), Error> {
        // Boxed: compiled here, and not once more in each program that polls it.
        let work: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(self.work(&stop, &hurry));
        let outcome = work.await;
        // The file says what runs, and nothing does.
        let _absent = std::fs::remove_file(self.layout.state_file());
        let _nobody = self.events.send(match &outcome {
            Ok(()) => Event::Stopped,
            Err(error) => {
                Event::Failed { message: Chain(error).to_string(), detail: error.detail() }
            }
        });
        outcome
    }

    async fn work(&self, stop: &CancellationToken, hurry: &CancellationToken) -> Result<(), Error> {
        let root = self.layout.root();
        // An earlier supervisor may have been killed; what it left would hold the ports.
        end_all(|| leftovers(&self.layout), self.settings.stop_within).await;
        // Nor does anything run that its file tells of.
        let _absent = std::fs::remove_file(self.layout.state_file());
        let addresses = choose(&self.settings.plan.parts)?;
        let facts = self.facts(&addresses)?;
        let launcher = Launcher::start().map_err(Error::file("cannot start threads for", root))?;
        let executables = self.build(&launcher, stop).await?;
        let board = Board::new(self.first_state(&addresses), self.events.clone());
        let (failures, mut failed) = mpsc::channel(1);
        let registry = self.registry(&facts)?;
        let shared = Arc::new(Shared {
            launcher,
            board: board.clone(),
            facts,
            executables,
            program: self.settings.program.clone(),
            folder: folder(&self.settings.plan.manifest),
            backoff: self.settings.backoff,
            ready_within: self.settings.ready_within,
            stop_within: self.settings.stop_within,
            stop_by: OnceLock::new(),
            hurry: hurry.clone(),
            registry,
            failures,
        });
        let crew = self.start(&addresses, &shared)?;
        let file = Arc::new(StateFile::new(self.layout.state_file(), board.clone()));
        let writer = TaskTracker::new();
        let written = CancellationToken::new();
        writer.spawn(Arc::clone(&file).follow(written.clone()));
        writer.close();
        let started = tokio::select! {
            biased;
            Some(error) = failed.recv() => Err(error),
            () = stop.cancelled() => Err(Error::Interrupted),
            () = board.until_all_ready() => Ok(()),
        };
        if started.is_ok() {
            // The file first: whoever hears that the system runs may read it.
            file.save();
            let _nobody = self.events.send(Event::Running(board.state()));
            stop.cancelled().await;
        }
        let _nobody = self.events.send(Event::Stopping);
        let _first = shared.stop_by.set(clock::now() + self.settings.stop_within);
        self.stop(crew).await;
        end_all(|| identity::marked(root), Duration::ZERO).await;
        written.cancel();
        writer.wait().await;
        started
    }

    async fn build(
        &self,
        launcher: &Launcher,
        stop: &CancellationToken,
    ) -> Result<Executables, Error> {
        let packages: BTreeSet<String> = self.settings.plan.packages();
        if packages.is_empty() {
            return Ok(Executables::new());
        }
        let began = clock::now();
        let tell = |build::Progress { done, total, current }| {
            let _nobody = self.events.send(Event::Building { done, total, current });
        };
        tell(build::Progress::default());
        let folder = folder(&self.settings.plan.manifest);
        let (home, profile) = (self.layout.root(), &self.settings.profile);
        let built = build::build(launcher, &folder, home, &packages, profile, stop, tell).await?;
        let seconds = (clock::now() - began).as_secs_f64();
        let _nobody = self.events.send(Event::Built { seconds });
        Ok(built)
    }

    fn facts(&self, addresses: &[Address]) -> Result<Facts, Error> {
        let plan = &self.settings.plan;
        let is_registry = |part: &Part| part.kind == Kind::ControlPlane;
        let control_plane = plan.parts.iter().position(is_registry).map(|index| &addresses[index]);
        for part in plan.parts.iter().filter(|part| part.kind != Kind::Gateway) {
            let data = self.layout.data(&part.service);
            std::fs::create_dir_all(&data).map_err(Error::file("cannot make", &data))?;
        }
        Ok(Facts {
            layout: self.layout.clone(),
            manifest: plan.manifest.clone(),
            registry: control_plane.map(Address::url),
            config_center: control_plane.and_then(Address::etcd_url),
            registry_ca: plan.registry_ca.clone(),
            secret: secret(plan, &self.layout)?,
            keys: plan.keys.clone(),
            events: events_url(&self.layout, std::env::var("EVENTS_URL").ok()),
            issuer: plan.issuer.clone(),
            audience: plan.audience.clone(),
            weights: plan.weights.clone(),
        })
    }

    /// The client of the registry, when there is one.
    fn registry(&self, facts: &Facts) -> Result<Option<Arc<dyn RegistryClient>>, Error> {
        let (Some(registry), Some(url)) = (&self.settings.registry, &facts.registry) else {
            return Ok(None);
        };
        let client = registry.client(url);
        client.map(Some).map_err(|source| Error::Registry { url: url.clone(), source })
    }

    fn first_state(&self, addresses: &[Address]) -> State {
        let plan = &self.settings.plan;
        let now = clock::wall_text();
        let status = |(part, address): (&Part, &Address)| PartStatus {
            name: part.name.clone(),
            service: part.service.clone(),
            kind: part.kind,
            version: part.version.clone(),
            state: PartState::Waiting,
            url: address.url(),
            admin_url: address.admin_url(),
            process: None,
            restarts: 0,
            note: None,
            since: now.clone(),
            log: self.layout.log_file(&part.name).display().to_string(),
        };
        let url = |kind| {
            let index = plan.parts.iter().position(|part| part.kind == kind);
            index.map(|index| addresses[index].url())
        };
        State {
            format: 1,
            name: plan.name.clone(),
            manifest: plan.manifest.display().to_string(),
            isolated: plan.isolated,
            started_at: now.clone(),
            supervisor: Identity::own(),
            gateway: url(Kind::Gateway),
            registry: url(Kind::ControlPlane),
            config_center: addresses.iter().find_map(Address::etcd_url),
            events: told_bus(std::env::var("EVENTS_URL").ok()).map(|url| Bus::of(&url)),
            stop_within_ms: u64::try_from(self.settings.stop_within.as_millis())
                .unwrap_or(u64::MAX),
            parts: plan.parts.iter().zip(addresses).map(status).collect(),
        }
    }

    /// Starts a keeper for each part; in which order the parts start, they see on the board.
    fn start(&self, addresses: &[Address], shared: &Arc<Shared>) -> Result<Crew, Error> {
        let parts = &self.settings.plan.parts;
        let journals = parts.iter().map(|part| {
            let path = self.layout.log_file(&part.name);
            let journal = Journal::open(&part.name, &path, self.events.clone());
            journal.map_err(Error::file("cannot open", path))
        });
        let journals: Vec<Journal> = journals.collect::<Result<_, _>>()?;
        let tasks = TaskTracker::new();
        let start = |((part, address), journal): ((&Part, &Address), Journal)| {
            let stop = CancellationToken::new();
            let shared = Arc::clone(shared);
            let keeper = Keeper::new(part.clone(), address.clone(), journal, shared, stop.clone());
            (stop, tasks.spawn(keeper.run()))
        };
        Ok(parts.iter().zip(addresses).zip(journals).map(start).collect())
    }

    /// Ends the parts, the gateway and those that nobody needs first.
    async fn stop(&self, mut crew: Crew) {
        for level in stop_levels(&self.settings.plan.parts) {
            for &index in &level {
                crew[index].0.cancel();
            }
            for index in level {
                // A keeper that panicked has dropped its child, which kills it.
                let _panicked = (&mut crew[index].1).await;
            }
        }
    }
}

/// How to stop each part's keeper, and how to wait for it.
type Crew = Vec<(CancellationToken, JoinHandle<()>)>;

/// The development secret, made if there is none; none for a system that believes no token of it.
pub(crate) fn secret(plan: &Plan, layout: &Layout) -> Result<Option<String>, Error> {
    let made = plan.trusts_secret.then(|| development_secret(&layout.secret_file()));
    made.transpose().map_err(Error::Secret)
}

/// The folder a system is built and run in: the manifest's.
pub(crate) fn folder(manifest: &Path) -> PathBuf {
    let folder = manifest.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}
