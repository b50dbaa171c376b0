//! What runs and what is left: ports, state, secret.

use std::io::ErrorKind;
use std::path::Path;

use regatta_manifest::Manifest;
use regatta_supervisor::{Layout, Part, PartState, Plan, Port, State, ports};

use super::Finding;

/// All checks of what runs and what is left.
pub(super) fn all(manifest: Option<&Manifest>, path: &Path, layout: &Layout) -> Vec<Finding> {
    let running = regatta_supervisor::running(layout).ok().flatten().is_some();
    let state = State::read(&layout.state_file());
    let mut findings = Vec::new();
    let plan = manifest.and_then(|manifest| Plan::try_new(manifest, path, false).ok());
    // Not one that a supervisor left which was killed.
    let own = regatta_supervisor::running_state(layout).ok().flatten();
    findings.extend(plan.iter().flat_map(|plan| ports_of(plan, own.as_ref())));
    findings.push(match (running, &state) {
        (_, Err(error)) => Finding::wrong("state", error.to_string(), "run `regatta down`"),
        (true, Ok(_)) => health(own.as_ref()),
        (false, Ok(state)) => leftovers(layout, state.is_some()),
    });
    findings.push(secret(layout));
    findings
}

/// Fixed ports that somebody else has.
fn ports_of(plan: &Plan, own: Option<&State>) -> Vec<Finding> {
    let pid = |part: &Part| {
        let status = own?.parts.iter().find(|status| status.name == part.name)?;
        status.process.map(|process| process.pid)
    };
    let fixed = |part: &'_ Part| {
        let also = part.admin.clone().into_iter().chain(part.etcd.clone()).chain(part.dns.clone());
        let all: Vec<_> =
            std::iter::once((part.host.clone(), part.port.clone())).chain(also).collect();
        let (name, own) = (part.name.clone(), pid(part));
        all.into_iter().map(move |(host, port)| (name.clone(), own, host, port))
    };
    let mut findings = Vec::new();
    let mut free = Vec::new();
    for (part, own, host, port) in plan.parts.iter().flat_map(fixed) {
        let Port::Fixed { port, key } = port else { continue };
        let holder = if ports::is_free(&host, port) { None } else { Some(ports::holder(port)) };
        let theirs = match holder {
            None => {
                free.push(port.to_string());
                continue;
            }
            Some(Some(holder)) if own == Some(holder.pid) => {
                free.push(format!("{port} (ours)"));
                continue;
            }
            Some(Some(holder)) => format!(" by process {} (`{}`)", holder.pid, holder.command),
            Some(None) => String::new(),
        };
        let text = format!("port {port} of {part} is in use{theirs}");
        let remedy = format!("end that process, set {key}, or use regatta up --isolated");
        findings.push(Finding::wrong("ports", text, &remedy));
    }
    if !free.is_empty() {
        findings.push(Finding::fine("ports", format!("free: {}", free.join(", "))));
    }
    findings
}

/// How the running system is.
fn health(state: Option<&State>) -> Finding {
    let Some(state) = state else { return Finding::fine("state", "the system is being built") };
    let bad = |status: &&regatta_supervisor::PartStatus| status.state != PartState::Ready;
    let bad: Vec<String> = state
        .parts
        .iter()
        .filter(bad)
        .map(|status| format!("{} is {}", status.name, status.state.as_str()))
        .collect();
    if bad.is_empty() {
        return Finding::fine("state", format!("runs, {} parts are ready", state.parts.len()));
    }
    Finding::wrong("state", bad.join(", "), "see why: regatta ps, regatta logs NAME")
}

/// What a killed supervisor left.
fn leftovers(layout: &Layout, has_state: bool) -> Finding {
    let left = regatta_supervisor::leftovers(layout).len();
    if left == 0 && !has_state {
        return Finding::fine("state", "nothing runs, nothing is left over");
    }
    let text = format!("the process that ran the system is gone; {left} of its processes are left");
    Finding::wrong("state", text, "clean up: regatta down")
}

fn secret(layout: &Layout) -> Finding {
    let remedy = "chmod 600 it, or delete it and run `regatta up`, which makes another";
    match regatta_supervisor::read_secret(&layout.secret_file()) {
        Ok(_) => Finding::fine("secret", "only its owner reads it"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Finding::fine("secret", "none yet; `regatta up` makes one")
        }
        Err(error) => Finding::wrong("secret", error.to_string(), remedy),
    }
}
