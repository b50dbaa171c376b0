//! `regatta doctor`: what is wrong with the manifest or the machine, and what to do.

mod machine;
mod running;
mod sources;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Format, Paint, out};
use crate::system::Place;

/// Checks the manifest and this machine; exits with 1 when something is wrong.
#[derive(Debug, Args)]
pub(crate) struct Doctor {}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Fine,
    /// It works, and may not for long.
    Warning,
    /// `up` will fail, or what runs is not safe.
    Wrong,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at, such as `ports`.
    check: &'static str,
    verdict: Verdict,
    /// What was found.
    message: String,
    /// What to do about it.
    remedy: Option<String>,
}

impl Finding {
    fn fine(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fine, message: message.into(), remedy: None }
    }

    fn warning(check: &'static str, message: impl Into<String>, remedy: &str) -> Self {
        let remedy = Some(remedy.to_owned());
        Self { verdict: Verdict::Warning, remedy, ..Self::fine(check, message) }
    }

    fn wrong(check: &'static str, message: impl Into<String>, remedy: &str) -> Self {
        Self { verdict: Verdict::Wrong, ..Self::warning(check, message, remedy) }
    }
}

impl Doctor {
    pub(crate) fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let path = place.manifest_path()?;
        let layout = place.layout()?;
        let (manifest, mut findings) = sources::manifest(&path);
        let folder = path.parent().unwrap_or(&path);
        findings.extend(sources::toolchain(manifest.as_ref(), folder));
        if let Some(manifest) = &manifest {
            findings.extend(sources::packages(manifest, &path));
        }
        findings.extend(machine::all(folder));
        findings.extend(running::all(manifest.as_ref(), &path, &layout));
        let wrong = findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).count();
        match format {
            Format::Json => {
                out(&json!({ "wrong": wrong, "findings": findings }).to_string());
            }
            Format::Text => show(&findings, wrong),
        }
        if wrong > 0 { Err(Failure::silent()) } else { Ok(()) }
    }
}

fn show(findings: &[Finding], wrong: usize) {
    let paint = Paint::of_stdout();
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Fine => paint.dim("ok      "),
            Verdict::Warning => paint.bold("warning "),
            Verdict::Wrong => paint.error("wrong   "),
        };
        out(&format!("{mark}  {:<11} {}", finding.check, finding.message));
        if let Some(remedy) = &finding.remedy {
            out(&format!("          {:<11} -> {remedy}", ""));
        }
    }
    match wrong {
        0 => out("nothing is wrong"),
        1 => out("1 thing is wrong"),
        count => out(&format!("{count} things are wrong")),
    }
}
