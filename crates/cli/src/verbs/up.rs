//! `regatta up`: builds and starts everything, and keeps it running.

mod detach;
mod signals;

use std::time::Duration;

use clap::Args;
use regatta_supervisor::{Error, Event, Identity, Profile, Settings, Supervisor};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::output::{Command, Format, Live, hints, out};
use crate::system::Place;
use crate::verbs::gateway;

/// Builds and starts everything: control plane, services, gateway.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Take free ports for everything, beside whatever else runs; the table says which.
    #[arg(long)]
    isolated: bool,
    /// Return once everything is ready, and leave it running.
    #[arg(long, short)]
    detach: bool,
    /// Build services with this cargo profile. Default: the one regatta was built with.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Build services with the profile release.
    #[arg(long, conflicts_with = "profile")]
    release: bool,
    /// How long a part may take to become ready, such as 30s or 2m.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    ready_within: Duration,
    /// How long all parts together may take to end; what is left then is killed.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    stop_within: Duration,
    /// The process that `--detach` leaves running.
    #[arg(long, hide = true)]
    background: bool,
}

impl Up {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        if self.background {
            // A session of its own: the terminal that closes takes nobody along, and its Ctrl-C is
            // for the process that waits for us, which hands it on.
            nix::unistd::setsid()?;
        }
        let settings = self.settings(place)?;
        if self.detach && !self.background {
            return detach::run(&self, place, &settings, format).await;
        }
        let live = live(&settings, format);
        let supervisor = Supervisor::try_new(settings).map_err(|error| match error {
            Error::AlreadyRunning { holder } => runs_already(holder, place),
            error => error.into(),
        })?;
        let events = supervisor.events();
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        signals::watch(stop.clone(), hurry.clone())?;
        let background = self.background;
        let command = Command::own(place.options());
        // A thread of its own: a terminal that is held (Ctrl-S) must hold nobody else.
        let shower = std::thread::spawn(move || show(live, events, background, &command));
        let outcome = supervisor.run(stop, hurry).await;
        // The last event ends the thread.
        let _panicked = shower.join();
        outcome.map_err(|error| {
            let detail = error.detail();
            Failure::from(error).with_detail(detail)
        })
    }

    fn settings(&self, place: &Place) -> Result<Settings, Failure> {
        let (path, manifest) = place.manifest()?;
        let wrong = gateway::problems(&manifest, &path)?;
        if !wrong.is_empty() {
            return Err(Failure::of_manifest(&path.display(), wrong));
        }
        let token = std::env::var_os("CONSUL_HTTP_TOKEN").filter(|token| !token.is_empty());
        if manifest.control_plane.access.is_some() && token.is_none() {
            return Err(Failure::usage(
                "control_plane.access lets nobody in without a token, and `up` and its parts have \
                 none; set CONSUL_HTTP_TOKEN to one that may write `service` and read `node`",
            ));
        }
        let mut settings = place.settings(self.isolated)?;
        match &self.profile {
            Some(name) => settings.profile = Profile::named(name),
            None if self.release => settings.profile = Profile::named("release"),
            None => {}
        }
        settings.ready_within = self.ready_within;
        settings.stop_within = self.stop_within;
        Ok(settings)
    }
}

/// The system runs; how to see and to stop it, with the options that lead to it.
fn runs_already(holder: Option<Identity>, place: &Place) -> Failure {
    let holder = holder.filter(|holder| holder.pid != 0);
    let under = holder.map_or_else(String::new, |holder| format!(", under process {}", holder.pid));
    let command = Command::own(place.options());
    let [ps, down] = ["ps", "down"].map(|verb| command.line(verb));
    Failure::new(format!(
        "this system runs already{under}; see it with `{ps}`, stop it with `{down}`"
    ))
}

/// Shows the settings' parts as they live.
fn live(settings: &Settings, format: Format) -> Live {
    let parts = settings.plan.parts.iter();
    let names: Vec<_> = parts.map(|part| (part.name.clone(), part.service.clone())).collect();
    Live::new(format, &names, now())
}

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// Shows events until the last. In the background they are told to the process that detached, and
/// to nobody once the system runs.
fn show(mut live: Live, mut events: Receiver<Event>, background: bool, command: &Command) {
    let mut told = false;
    loop {
        let event = match events.blocking_recv() {
            Ok(event) => event,
            Err(RecvError::Lagged(count)) => {
                live.skipped(count);
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        if background {
            if !told && !matches!(event, Event::Log(_)) {
                out(&serde_json::to_string(&event).unwrap_or_default());
            }
            told |= matches!(event, Event::Running(_));
        } else {
            live.show(&event, now());
            if let Event::Running(state) = &event {
                hints(state, command);
            }
        }
        if matches!(event, Event::Stopped | Event::Failed { .. }) {
            return;
        }
    }
}

/// Reads a time such as `90s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match regatta_yaml::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("use more than 0, such as 30s".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}
