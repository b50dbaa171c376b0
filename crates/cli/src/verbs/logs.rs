//! `regatta logs`: what parts printed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use regatta_supervisor::Layout;
use regatta_supervisor::logs::{Level, Record, Tail, last};

use crate::failure::Failure;
use crate::output::{Format, Paint, log_line, out};
use crate::system::Place;

/// How often files are looked at when following.
const LOOK: Duration = Duration::from_millis(100);

/// Shows what parts printed.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// A part (user-service-1) or a service (user-service); several may be named. Default: all.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Go on showing what is printed, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// Lines to begin with.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100)]
    lines: usize,
    /// Only lines of this level and above; lines that have none are left out.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    level: Option<Level>,
}

impl Logs {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let files = self.files(&place.layout()?)?;
        let mut tails = Vec::new();
        // The tails first: a line that comes in between is shown twice rather than never.
        if self.follow {
            for (part, path) in &files {
                tails.push(Tail::from_end(part, path)?);
            }
        }
        let services = files.iter().map(|(part, _)| service_of(part));
        let paint = Paint::of_stdout().with_services(services);
        let width = files.iter().map(|(part, _)| part.len()).max().unwrap_or(0);
        let show = |record: &Record| {
            let wanted = self.level.is_none_or(|least| record.level() >= Some(least));
            match format {
                _ if !wanted => {}
                Format::Json => out(&serde_json::to_string(record).unwrap_or_default()),
                Format::Text => out(&log_line(record, &paint, width)),
            }
        };
        let count = if self.level.is_some() { usize::MAX } else { self.lines };
        let records = last(&files, count)?;
        let wanted =
            |record: &&Record| self.level.is_none_or(|least| record.level() >= Some(least));
        let records: Vec<&Record> = records.iter().filter(wanted).collect();
        records[records.len().saturating_sub(self.lines)..].iter().for_each(|record| show(record));
        if !self.follow {
            return Ok(());
        }
        loop {
            let mut fresh = Vec::new();
            for tail in &mut tails {
                fresh.extend(tail.poll()?);
            }
            fresh.sort_by(|a, b| a.at.cmp(&b.at));
            fresh.iter().for_each(&show);
            tokio::time::sleep(LOOK).await;
        }
    }

    fn files(&self, layout: &Layout) -> Result<Vec<(String, PathBuf)>, Failure> {
        let known = parts(layout);
        if known.is_empty() {
            return Err(Failure::new("there are no logs yet; start the system with `regatta up`"));
        }
        let named =
            |part: &str| self.names.iter().any(|name| name == part || name == service_of(part));
        for name in &self.names {
            if !known.iter().any(|part| part == name || service_of(part) == name) {
                let known = known.join(", ");
                return Err(Failure::usage(format!("`{name}` has no log; there are {known}")));
            }
        }
        let chosen = known.into_iter().filter(|part| self.names.is_empty() || named(part));
        Ok(chosen.map(|part| (part.clone(), layout.log_file(&part))).collect())
    }
}

/// All parts that have a log, in the order of their names.
fn parts(layout: &Layout) -> Vec<String> {
    let folder = layout.log_file("x");
    let entries = folder.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let name = |entry: std::fs::DirEntry| {
        entry.file_name().to_str()?.strip_suffix(".log").map(str::to_owned)
    };
    let mut parts: Vec<String> = entries.into_iter().flatten().flatten().filter_map(name).collect();
    parts.retain(|part| part != "supervisor");
    parts.sort();
    parts
}

/// The service of a part: its name without the number of the instance.
fn service_of(part: &str) -> &str {
    match part.rsplit_once('-') {
        Some((service, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => service,
        _ => part,
    }
}

fn level(text: &str) -> Result<Level, String> {
    let value = serde_json::Value::from(text.to_ascii_lowercase());
    serde_json::from_value(value).map_err(|_| "use error, warn, info, debug or trace".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_its_parts_without_the_number() {
        assert_eq!(service_of("user-service-12"), "user-service");
        assert_eq!(service_of("control-plane"), "control-plane");
        assert_eq!(service_of("gateway"), "gateway");
    }

    #[test]
    fn levels_are_read_in_any_case() {
        assert_eq!(level("WARN"), Ok(Level::Warn));
        assert!(level("loud").unwrap_err().contains("error, warn"));
    }
}
