//! Runs a service for a moment, as the supervisor would, to ask it something.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::address::Address;
use crate::build;
use crate::environment::{Facts, WITHHELD, arguments, environment, events_url};
use crate::error::Error;
use crate::part::{Kind, Part, Port, Run};
use crate::process::Launcher;
use crate::state::State;
use crate::supervisor::{Settings, folder, secret};

/// How long a service may take to answer.
const WITHIN: Duration = Duration::from_secs(10);

/// What a service printed when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Whether it ended with success.
    pub success: bool,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub errors: String,
}

/// Starts the first instance of a service with its usual variables and these, and waits for its end,
/// at most 10 s. Only a service that is taken to have the chassis is started: any other program would
/// not know that it is only asked something, and begin its work. `state` is the system as it runs now, if it does: it knows the addresses. Without it a
/// free port, which nobody has chosen yet, is told as 0.
///
/// Builds it first, as `up` would.
///
/// # Errors
///
/// [`Error::NoService`], [`Error::NotInspected`], [`Error::Build`], [`Error::Spawn`], or [`Error::File`].
///
/// # Cancel safety
///
/// Cancel safe but for a build, whose cargo is killed.
pub async fn inspect(
    settings: &Settings,
    service: &str,
    state: Option<&State>,
    variables: &[(&str, &str)],
) -> Result<Inspection, Error> {
    let services = || settings.plan.parts.iter().filter(|part| part.kind == Kind::Service);
    let part = services().find(|part| part.service == service || part.name == service);
    let part = part.ok_or_else(|| Error::NoService {
        name: service.to_owned(),
        known: services()
            .map(|part| part.service.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
    })?;
    let Run::Cargo { package } = &part.run else {
        return Err(Error::NotInspected { service: part.service.clone() });
    };
    if part.register {
        return Err(Error::NotInspected { service: part.service.clone() });
    }
    settings.layout.create().map_err(Error::file("cannot make", settings.layout.root()))?;
    let facts = facts(settings, state)?;
    let address = address(part, state);
    let program = program(settings, package).await?;
    let mut command = tokio::process::Command::new(&program);
    for name in WITHHELD {
        command.env_remove(name);
    }
    command
        .args(arguments(part, &address, &facts))
        .envs(environment(part, &address, &facts))
        .envs(variables.iter().copied())
        .current_dir(folder(&settings.plan.manifest))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let spawn = |source| Error::Spawn { part: part.name.clone(), program, source };
    let ran = tokio::time::timeout(WITHIN, command.output()).await;
    let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "it did not answer in 10 s");
    let output = ran.unwrap_or_else(|_| Err(late())).map_err(spawn)?;
    Ok(Inspection {
        success: output.status.success(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn facts(settings: &Settings, state: Option<&State>) -> Result<Facts, Error> {
    let registry = settings.plan.parts.iter().find(|part| part.kind == Kind::ControlPlane);
    let control_plane = registry.map(|part| address(part, state));
    let config_center = match state {
        Some(state) => state.config_center.clone(),
        None => control_plane.as_ref().and_then(Address::etcd_url),
    };
    let registry = control_plane.map(|address| address.url());
    Ok(Facts {
        layout: settings.layout.clone(),
        manifest: settings.plan.manifest.clone(),
        registry,
        config_center,
        registry_ca: settings.plan.registry_ca.clone(),
        secret: secret(&settings.plan, &settings.layout)?,
        keys: settings.plan.keys.clone(),
        events: events_url(&settings.layout, std::env::var("EVENTS_URL").ok()),
        issuer: settings.plan.issuer.clone(),
        audience: settings.plan.audience.clone(),
        weights: settings.plan.weights.clone(),
    })
}

/// Where it runs now, or would; a free port is shown as 0.
fn address(part: &Part, state: Option<&State>) -> Address {
    let running = state.and_then(|state| state.parts.iter().find(|known| known.name == part.name));
    let running = running.and_then(|known| known.url.rsplit_once(':')?.1.parse().ok());
    let port = match (&part.port, running) {
        (_, Some(port)) => port,
        (Port::Fixed { port, .. }, None) => *port,
        (Port::Free, None) => 0,
    };
    let also = |(host, port): &(String, Port)| match port {
        Port::Fixed { port, .. } => (host.clone(), *port),
        Port::Free => (host.clone(), 0),
    };
    let admin = part.admin.as_ref().map(also);
    let (etcd, dns) = (part.etcd.as_ref().map(also), part.dns.as_ref().map(also));
    Address { host: part.host.clone(), port, admin, etcd, dns, tls: part.tls }
}

/// Builds the package and names its program.
async fn program(settings: &Settings, package: &str) -> Result<String, Error> {
    let root = settings.layout.root();
    let launcher = Launcher::start().map_err(Error::file("cannot start threads for", root))?;
    let (stop, folder) = (CancellationToken::new(), folder(&settings.plan.manifest));
    // All packages, as `up` does: another choice would unify features differently and build anew.
    let packages = settings.plan.packages();
    let built =
        build::build(&launcher, &folder, root, &packages, &settings.profile, &stop, |_| ()).await?;
    Ok(built[package].display().to_string())
}
