//! Keeps one part running: starts it, watches it, starts it again, ends it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address::Address;
use crate::backoff::{Backoff, Deaths};
use crate::board::Board;
use crate::build::Executables;
use crate::clock;
use crate::environment::{Facts, WITHHELD, arguments, environment};
use crate::error::Error;
use crate::listing::{AGAIN_WITHIN, Listing};
use crate::logs::{Journal, Stream};
use crate::part::{Kind, Part, Port, Run};
use crate::ports;
use crate::process::{Identity, Launcher, Spec, end_group};
use crate::readiness::{self, Answer};
use crate::registration::{Registered, RegistryClient};
use crate::state::PartState;

/// How often a part that starts is asked whether it is ready: a part that is ready at once costs
/// the start of the system no more than this.
const ASK_STARTING: Duration = Duration::from_millis(25);
/// How often a part that is ready is asked whether it still is.
const ASK_READY: Duration = Duration::from_secs(2);
/// How often a part that is not ready any more is asked.
const ASK_UNREADY: Duration = Duration::from_millis(250);
/// Lines of its log shown when a part does not start.
const SHOWN_LINES: usize = 25;
/// How long we read on after a part ended; something it started may hold its output open.
const READ_WITHIN: Duration = Duration::from_millis(500);

/// What all keepers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) launcher: Launcher,
    pub(crate) board: Board,
    pub(crate) facts: Facts,
    pub(crate) executables: Executables,
    /// The `regatta` program.
    pub(crate) program: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) backoff: Backoff,
    pub(crate) ready_within: Duration,
    pub(crate) stop_within: Duration,
    /// When the system as a whole is to have ended; set when it begins to stop.
    pub(crate) stop_by: OnceLock<Instant>,
    /// Done when parts are to be killed without asking.
    pub(crate) hurry: CancellationToken,
    /// Where parts are registered that do not do it themselves, and which lists them all.
    pub(crate) registry: Option<Arc<dyn RegistryClient>>,
    /// The first part that does not start says so here.
    pub(crate) failures: mpsc::Sender<Error>,
}

/// Keeps one part running.
#[derive(Debug)]
pub(crate) struct Keeper {
    part: Part,
    address: Address,
    journal: Journal,
    shared: Arc<Shared>,
    stop: CancellationToken,
    deaths: Deaths,
    was_ready: bool,
    registered: Option<Registered>,
    listing: Option<Listing>,
}

/// How one process of a part came to its end.
enum End {
    /// We ended it.
    Stopped,
    /// It ended by itself.
    Died(ExitStatus),
    /// It was not ready in time, and we ended it.
    Late(Answer),
}

impl Keeper {
    pub(crate) fn new(
        part: Part,
        address: Address,
        journal: Journal,
        shared: Arc<Shared>,
        stop: CancellationToken,
    ) -> Self {
        let registry = shared.registry.clone();
        Self {
            listing: registry.and_then(|registry| Listing::begin(registry, &part)),
            part,
            address,
            journal,
            shared,
            stop,
            deaths: Deaths::default(),
            was_ready: false,
            registered: None,
        }
    }

    /// Runs until the part is stopped, or has failed to start the first time.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return self.show(PartState::Stopped, None),
            () = shared.board.until_ready(&self.part.needs) => {}
        }
        loop {
            let note = match self.live_once().await {
                Ok(End::Stopped) => return self.show(PartState::Stopped, None),
                Ok(End::Died(status)) if self.was_ready => format!("ended with {status}"),
                Ok(End::Late(answer)) if self.was_ready => format!("not ready in time: {answer}"),
                Err(error) if self.was_ready => error.to_string(),
                Ok(end) => {
                    let error = self.start_error(end);
                    return self.fail(error);
                }
                Err(error) => return self.fail(error),
            };
            let random = rand::random();
            let delay = self.deaths.died(clock::now(), &self.shared.backoff, random);
            let again = match self.deaths.is_crash_loop() {
                true => PartState::CrashLoop,
                false => PartState::Restarting,
            };
            self.show(again, Some(format!("{note}; starts again in {:.1} s", delay.as_secs_f32())));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return self.show(PartState::Stopped, None),
                () = sleep(delay) => {}
            }
            self.move_if_taken();
            self.shared.board.update(&self.part.name, |status| status.restarts += 1);
        }
    }

    /// One process, from its start to its end.
    async fn live_once(&mut self) -> Result<End, Error> {
        self.journal.begin();
        let spec = self.spec();
        let program = spec.program.display().to_string();
        let started = self.shared.launcher.launch(spec).await;
        let part = || self.part.name.clone();
        let mut child = started.map_err(|source| Error::Spawn { part: part(), program, source })?;
        let leader = child.id().unwrap_or_default();
        self.shared.board.update(&self.part.name, |status| {
            status.state = PartState::Starting;
            status.note = None;
            status.process = Identity::of(leader);
        });
        let readers = self.read_output(&mut child);
        let end = self.watch(&mut child, leader).await;
        // Nobody is to call a process that is gone.
        self.deregister().await;
        // Also when it ended by itself: what it started must not hold its port.
        crate::process::signal_group(leader, nix::sys::signal::Signal::SIGKILL);
        readers.close();
        let _late = tokio::time::timeout(READ_WITHIN, readers.wait()).await;
        self.shared.board.update(&self.part.name, |status| status.process = None);
        Ok(end)
    }

    /// Asks whether it is ready, until it ends.
    async fn watch(&mut self, child: &mut Child, leader: u32) -> End {
        let patience = clock::now() + self.shared.ready_within;
        let (mut ready, mut misses) = (false, 0_u32);
        let (mut pause, mut answers_since) = (Duration::ZERO, None);
        loop {
            let answer = async {
                sleep(pause).await;
                readiness::ask(&self.address, &self.part.health).await
            };
            let answer = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.end(child, leader).await;
                    return End::Stopped;
                }
                status = child.wait() => match status {
                    Ok(status) => return End::Died(status),
                    Err(error) => return End::Late(Answer::None(error.to_string())),
                },
                answer = answer => answer,
            };
            let answer = match answer {
                Answer::Ready if !ready => {
                    self.listed(*answers_since.get_or_insert_with(clock::now))
                }
                answer => answer,
            };
            match (&answer, ready) {
                (Answer::Ready, _) => {
                    (ready, misses, pause) = (true, 0, ASK_READY);
                    self.was_ready = true;
                    self.deaths.ready(clock::now());
                    self.show(PartState::Ready, None);
                }
                (_, false) if clock::now() >= patience => {
                    self.end(child, leader).await;
                    return End::Late(answer);
                }
                (_, false) => pause = ASK_STARTING,
                (_, true) => {
                    (misses, pause) = (misses + 1, ASK_UNREADY);
                    // One missed answer may be a busy moment.
                    if misses >= 2 {
                        self.deaths.unready();
                        self.show(PartState::NotReady, Some(answer.to_string()));
                    }
                }
            }
        }
    }

    /// What it means that a process answers, since then: it is ready once callers find it. One that
    /// starts again is not held up for long, the registry may be what is away.
    fn listed(&mut self, answers_since: Instant) -> Answer {
        self.register();
        let is_patient = !self.was_ready || clock::now() < answers_since + AGAIN_WITHIN;
        match &self.listing {
            Some(listing) if is_patient && !listing.has(self.address.port) => {
                self.show(
                    PartState::Starting,
                    Some("the registry does not list it yet".to_owned()),
                );
                Answer::Unlisted
            }
            _ => Answer::Ready,
        }
    }

    /// Begins to register the part, unless it does so itself or that has begun.
    fn register(&mut self) {
        if let (Some(registry), true, None) =
            (&self.shared.registry, self.part.register, &self.registered)
        {
            let registry = Arc::clone(registry);
            self.registered =
                Registered::begin(registry, &self.part, &self.address, &self.shared.board);
        }
    }

    async fn deregister(&mut self) {
        if let Some(registered) = self.registered.take() {
            registered.end().await;
        }
    }

    /// Takes the part out of the registry, asks the process to end, and kills what is left of it.
    async fn end(&mut self, child: &mut Child, leader: u32) {
        self.show(PartState::Stopping, None);
        self.deregister().await;
        let ended = async {
            let _status = child.wait().await;
        };
        let hurry = self.shared.hurry.cancelled();
        let stop_by = self.shared.stop_by.get().copied();
        let left = stop_by.map(|by| by.saturating_duration_since(clock::now()));
        let within = left.unwrap_or(self.shared.stop_within).min(self.shared.stop_within);
        if end_group(leader, within, ended, hurry).await {
            self.shared
                .board
                .warn(format!("{} was killed; it did not end in time", self.part.name));
        }
    }

    fn read_output(&self, child: &mut Child) -> TaskTracker {
        let readers = TaskTracker::new();
        if let Some(output) = child.stdout.take() {
            readers.spawn(self.journal.clone().read(Stream::Out, output));
        }
        if let Some(output) = child.stderr.take() {
            readers.spawn(self.journal.clone().read(Stream::Err, output));
        }
        readers
    }

    fn spec(&self) -> Spec {
        let facts = &self.shared.facts;
        let program = match &self.part.run {
            Run::Cargo { package } => self.shared.executables.get(package).cloned(),
            Run::Command { program, .. } => Some(program.into()),
            Run::Regatta { .. } => Some(self.shared.program.clone()),
        };
        Spec {
            // Cargo packages were built before any keeper began.
            program: program.unwrap_or_default(),
            arguments: arguments(&self.part, &self.address, facts)
                .into_iter()
                .map(Into::into)
                .collect(),
            environment: environment(&self.part, &self.address, facts),
            without: WITHHELD.map(str::to_owned).to_vec(),
            folder: self.shared.folder.clone(),
            home: facts.layout.root().to_owned(),
        }
    }

    /// Takes another port when somebody took ours while we were down. The control plane and the
    /// gateway stay: others know where they are.
    fn move_if_taken(&mut self) {
        let free = ports::is_free(&self.address.host, self.address.port);
        if self.part.kind != Kind::Service {
            return;
        }
        let mut taken = BTreeSet::from([self.address.port]);
        if !free && self.part.port == Port::Free {
            let port = ports::free_port(&self.address.host, &mut taken);
            self.address.port = port.unwrap_or(self.address.port);
        }
        if let Some((host, port)) = &mut self.address.admin
            && !ports::is_free(host, *port)
        {
            *port = ports::free_port(host, &mut taken).unwrap_or(*port);
        }
        let (url, admin_url) = (self.address.url(), self.address.admin_url());
        self.shared.board.update(&self.part.name, |status| {
            status.url = url;
            status.admin_url = admin_url;
        });
    }

    fn start_error(&self, end: End) -> Error {
        let part = self.part.name.clone();
        let lines = self.journal.last(SHOWN_LINES);
        let log = self.shared.facts.layout.log_file(&part);
        match end {
            End::Stopped => Error::Interrupted,
            End::Died(status) => Error::EndedEarly { part, status: status.to_string(), lines, log },
            End::Late(Answer::Unlisted) => {
                Error::NotListed { part, after: self.shared.ready_within, lines, log }
            }
            End::Late(answer) => {
                let (after, answer) = (self.shared.ready_within, answer.to_string());
                Error::NotReady { part, after, answer, lines, log }
            }
        }
    }

    fn fail(&self, error: Error) {
        self.show(PartState::Failed, Some(error.to_string()));
        // Only the first failure is told; the others follow from it or say the same.
        let _told = self.shared.failures.try_send(error);
    }

    fn show(&self, state: PartState, note: Option<String>) {
        self.shared.board.update(&self.part.name, |status| {
            status.state = state;
            status.note = note;
        });
    }
}
