//! Why a system did not start, or could not be stopped.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::build::BuildError;
use crate::ports::Holder;
use crate::process::Identity;

/// A port that somebody else has.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// The part that was to listen there.
    pub part: String,
    /// The address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The manifest key that sets it.
    pub key: String,
    /// Who has it, when the system tells.
    pub holder: Option<Holder>,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { part, host, port, key, holder } = self;
        write!(f, "port `{port}` of {part} ({host}) is in use")?;
        if let Some(Holder { pid, command }) = holder {
            write!(f, " by process {pid} (`{command}`)")?;
        }
        write!(f, "; end that process, set {key}, or take free ports: regatta up --isolated")
    }
}

/// A system did not start, or could not be stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A supervisor runs here already.
    #[error(
        "this system runs already{}; see it with `regatta ps`, stop it with `regatta down`",
        .holder.map(|holder| format!(", under process {}", holder.pid)).unwrap_or_default()
    )]
    AlreadyRunning {
        /// The supervisor, when it has written who it is.
        holder: Option<Identity>,
    },
    /// Ports are taken.
    #[error("{}", in_use(conflicts))]
    PortsInUse {
        /// All of them.
        conflicts: Vec<Conflict>,
    },
    /// No port is free at all.
    #[error("no port is free on {host}; see what listens with `ss -ltn`")]
    NoFreePort {
        /// The address.
        host: String,
    },
    /// There is no such service.
    #[error("the manifest has no service `{name}`; it has `{}`", known.join("`, `"))]
    NoService {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A service that is not taken to have the chassis.
    #[error(
        "`{service}` is not started to show its settings: only a `run.cargo` service that registers \
         itself is taken to be on the crate `regatta`, and any other program would begin its work. If \
         it is on the crate, start it with REGATTA_CONFIG_SHOW=text, or read /config at its admin \
         address"
    )]
    NotInspected {
        /// The service.
        service: String,
    },
    /// The services could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A program could not be executed.
    #[error("`{program}` of {part} did not start; check `run` of the service in the manifest")]
    Spawn {
        /// The part.
        part: String,
        /// What was to be executed.
        program: String,
        /// Why it was not.
        source: io::Error,
    },
    /// A part ended before it was ready.
    #[error("{part} ended before it was ready ({status}); {}", said(lines, log))]
    EndedEarly {
        /// The part.
        part: String,
        /// How it ended, such as `exit status: 1`.
        status: String,
        /// Its last lines.
        lines: Vec<String>,
        /// All its lines.
        log: PathBuf,
    },
    /// A part runs and did not become ready in time.
    #[error(
        "{part} was not ready within {} s: {answer}; {}; allow more time with --ready-within",
        after.as_secs_f32(), said(lines, log)
    )]
    NotReady {
        /// The part.
        part: String,
        /// How long we waited.
        after: Duration,
        /// What it answered at last.
        answer: String,
        /// Its last lines.
        lines: Vec<String>,
        /// All its lines.
        log: PathBuf,
    },
    /// A part answers, and the registry does not list it.
    #[error(
        "{part} answers, and the registry did not list it within {} s, so that callers would not \
         find it; see its log {}, and that its program gives itself the name it has in the manifest. \
         A program that does not register itself needs `register: true` there, one that nobody \
         calls `env: {{ REGISTRY__REGISTER: \"false\" }}`",
        after.as_secs_f32(), log.display()
    )]
    NotListed {
        /// The part.
        part: String,
        /// How long we waited.
        after: Duration,
        /// Its last lines.
        lines: Vec<String>,
        /// All its lines.
        log: PathBuf,
    },
    /// Somebody asked to stop before everything was ready.
    #[error("stopped before everything was ready")]
    Interrupted,
    /// A supervisor was asked to stop, and did not.
    #[error("process {pid} did not stop within {} s; kill it and run `regatta down` again", within.as_secs())]
    StillRunning {
        /// The supervisor.
        pid: u32,
        /// How long we waited.
        within: Duration,
    },
    /// The file system failed.
    #[error("{what} `{}`; check that the folder exists, is writable and has space", path.display())]
    File {
        /// What was tried, such as `cannot write`.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There can be no client of the registry.
    #[error("the registry at `{url}` cannot be used; check control_plane.listen in the manifest")]
    Registry {
        /// Where it is to be.
        url: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The secret cannot be used.
    #[error("the development secret cannot be used")]
    Secret(#[source] io::Error),
}

impl Error {
    /// What stands behind the error: the compiler's errors, the last lines of a log, each of several
    /// ports.
    pub fn detail(&self) -> Vec<String> {
        match self {
            Self::EndedEarly { lines, .. }
            | Self::NotReady { lines, .. }
            | Self::NotListed { lines, .. } => lines.clone(),
            Self::Build(BuildError::Failed { errors, .. }) => errors.clone(),
            Self::PortsInUse { conflicts } if conflicts.len() > 1 => {
                conflicts.iter().map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}

fn in_use(conflicts: &[Conflict]) -> String {
    match conflicts {
        [conflict] => conflict.to_string(),
        _ => format!(
            "{} ports are in use; end who has them, set others in the manifest, or take free ports: \
             regatta up --isolated",
            conflicts.len()
        ),
    }
}

/// Where the lines of a part are.
fn said(lines: &[String], log: &Path) -> String {
    match lines {
        [] => format!("it printed nothing, and its log is {}", log.display()),
        _ => format!("its last lines are above, all of them in {}", log.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_ports_are_told_one_a_line_and_nothing_twice() {
        let conflict = |port| Conflict {
            part: "gateway".to_owned(),
            host: "127.0.0.1".to_owned(),
            port,
            key: "gateway.listen".to_owned(),
            holder: None,
        };
        let error = Error::PortsInUse { conflicts: vec![conflict(80), conflict(81)] };
        let detail = error.detail();
        assert!(detail[0].contains("port `80`") && detail[1].contains("port `81`"), "{detail:?}");
        let text = error.to_string();
        assert!(text.starts_with("2 ports are in use") && !text.contains("81"), "{text}");
        let error = Error::PortsInUse { conflicts: vec![conflict(80)] };
        assert!(error.detail().is_empty() && error.to_string().contains("port `80`"));
    }

    #[test]
    fn lines_are_above_only_where_there_are_any() {
        let error = |lines: &[&str]| {
            let lines = lines.iter().map(|&line| line.to_owned()).collect();
            let (part, status, log) = ("a-1".to_owned(), "exit status: 1".to_owned(), "l".into());
            Error::EndedEarly { part, status, lines, log }.to_string()
        };
        assert!(error(&["x"]).contains("its last lines are above"));
        let silent = error(&[]);
        assert!(silent.contains("it printed nothing") && !silent.contains("above"), "{silent}");
    }

    #[test]
    fn a_taken_port_names_its_holder_and_three_remedies() {
        let conflict = Conflict {
            part: "gateway".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 8080,
            key: "gateway.listen in regatta.yaml".to_owned(),
            holder: Some(Holder { pid: 42, command: "nginx -g x".to_owned() }),
        };
        assert_eq!(
            Error::PortsInUse { conflicts: vec![conflict] }.to_string(),
            "port `8080` of gateway (127.0.0.1) is in use by process 42 (`nginx -g x`); end that \
             process, set gateway.listen in regatta.yaml, or take free ports: regatta up --isolated"
        );
    }
}
