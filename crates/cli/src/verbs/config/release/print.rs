//! How releases are shown.

use regatta_config::release::{Phase, Release as State};
use serde_json::{Value, json};

use super::super::access::when;
use crate::output::{Format, Paint, out, table};

/// A word for where it stands.
fn word(release: &State) -> &'static str {
    match release.phase {
        Phase::Staging(_) => "staging",
        Phase::Halted { .. } => "halted",
        Phase::Done => "done",
        Phase::RolledBack { .. } => "rolled-back",
    }
}

fn reason(release: &State) -> Option<&str> {
    match &release.phase {
        Phase::Halted { reason, .. } | Phase::RolledBack { reason } => Some(reason),
        Phase::Staging(_) | Phase::Done => None,
    }
}

fn instances(release: &State) -> Vec<String> {
    match &release.phase {
        Phase::Staging(staging) => staging.instances.clone(),
        Phase::Halted { instances, .. } => instances.clone(),
        Phase::Done | Phase::RolledBack { .. } => Vec::new(),
    }
}

/// A release for programs; secrets hidden.
pub(super) fn json(release: &State) -> Value {
    let (stage, of) = release.progress();
    let note = |note: &regatta_config::release::StepNote| json!({ "at": when(note.at_ms), "text": note.text });
    json!({
        "id": release.id,
        "service": release.service,
        "state": word(release),
        "stage": stage,
        "stages": of,
        "instances": instances(release),
        "reason": reason(release),
        "changes": release.summary(),
        "by": release.by,
        "why": release.why,
        "notes": release.notes.iter().map(note).collect::<Vec<_>>(),
    })
}

/// A release for people.
pub(super) fn whole(release: &State) {
    let (stage, of) = release.progress();
    let paint = Paint::of_stdout();
    out(&format!("{} of {}: {}", paint.bold(&release.id), release.service, word(release)));
    out(&format!("  changes    {}", release.summary()));
    out(&format!("  stage      {stage} of {of}"));
    let instances = instances(release);
    if !instances.is_empty() {
        out(&format!("  instances  {}", instances.join(", ")));
    }
    if let Some(reason) = reason(release) {
        out(&format!("  reason     {reason}"));
    }
    out(&format!("  by         {}", release.by));
    if !release.why.is_empty() {
        out(&format!("  why        {}", release.why));
    }
    release.notes.iter().for_each(|note| out(&format!("  {} {}", when(note.at_ms), note.text)));
}

/// All of them.
pub(super) fn list(releases: &[State], format: Format) {
    if format == Format::Json {
        return out(&Value::from_iter(releases.iter().map(json)).to_string());
    }
    if releases.is_empty() {
        return out("the config center knows no releases");
    }
    let row = |it: &State| {
        let (stage, of) = it.progress();
        let begun = it.notes.first().map_or(String::new(), |note| when(note.at_ms));
        let state = match reason(it) {
            Some(reason) => format!("{}: {reason}", word(it)),
            None => word(it).to_owned(),
        };
        vec![it.id.clone(), begun, format!("{stage}/{of}"), it.summary(), it.by.clone(), state]
    };
    let rows: Vec<_> = releases.iter().map(row).collect();
    let paint = Paint::of_stdout();
    let colour = |_: usize, column: usize, text: &str| match column {
        0 => paint.bold(text),
        _ => text.to_owned(),
    };
    let head = ["RELEASE", "BEGUN", "STAGE", "CHANGES", "BY", "STATE"];
    table(&head, &rows, colour).iter().for_each(|line| out(line));
}
