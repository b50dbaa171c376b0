//! What runs, as a file that other processes read.

use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bus::Bus;
use crate::part::Kind;
use crate::process::Identity;

/// What a part is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartState {
    /// Something it needs is not ready yet.
    Waiting,
    /// It runs and has not answered yet.
    Starting,
    /// It answers.
    Ready,
    /// It runs and said it is not ready, or stopped answering.
    NotReady,
    /// It died and starts again after a delay.
    Restarting,
    /// It died again and again; it still starts again, after longer delays.
    CrashLoop,
    /// It was asked to end.
    Stopping,
    /// It ended as asked.
    Stopped,
    /// It could not be started.
    Failed,
}

impl PartState {
    /// The word in tables, such as `crash-loop`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::NotReady => "not-ready",
            Self::Restarting => "restarting",
            Self::CrashLoop => "crash-loop",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// One part, as of its last change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartStatus {
    /// Unique in the system, such as `user-service-1`.
    pub name: String,
    /// What callers use, such as `user-service`.
    pub service: String,
    /// What it is to the system.
    pub kind: Kind,
    /// The subset it belongs to.
    pub version: Option<String>,
    /// What it is doing.
    pub state: PartState,
    /// Where it serves, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// Where it serves operators, if that is elsewhere.
    pub admin_url: Option<String>,
    /// Its process, while it has one.
    pub process: Option<Identity>,
    /// How often it was started again since `up`.
    pub restarts: u32,
    /// Why it is not ready, or what its last process died of.
    pub note: Option<String>,
    /// When this state began, RFC 3339.
    pub since: String,
    /// Its log.
    pub log: String,
}

/// The whole system, as of its last change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The form of this file; 1.
    pub format: u32,
    /// The system's name in the manifest.
    pub name: String,
    /// The manifest.
    pub manifest: String,
    /// Whether `up` took free ports for everything.
    pub isolated: bool,
    /// When `up` began, RFC 3339.
    pub started_at: String,
    /// The process that runs `up`.
    pub supervisor: Identity,
    /// Where clients go, such as `http://127.0.0.1:8080`.
    pub gateway: Option<String>,
    /// Where services register, such as `http://127.0.0.1:8500`.
    pub registry: Option<String>,
    /// Where configuration is kept, in etcd's protocol, such as `http://127.0.0.1:2379`.
    pub config_center: Option<String>,
    /// Where the event bus is, when `up` was told of one by `EVENTS_URL`; without it, the file that
    /// all services share.
    #[serde(default)]
    pub events: Option<Bus>,
    /// How long stopping all of it may take, in milliseconds.
    pub stop_within_ms: u64,
    /// All parts, in the order they start in.
    pub parts: Vec<PartStatus>,
}

impl State {
    /// Reads the file; `None` when there is none.
    ///
    /// # Errors
    ///
    /// That of the file system, or `InvalidData` when the text is not a state.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file in one step: a reader sees the old state or the new one, never a half.
    ///
    /// Not flushed to the disk: after a power cut nothing of it runs any more.
    ///
    /// # Errors
    ///
    /// That of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("json.new");
        let mut file = std::fs::File::create(&beside)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        drop(file);
        std::fs::rename(&beside, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert_eq!(State::read(&path).unwrap(), None);
        state().write(&path).unwrap();
        assert_eq!(State::read(&path).unwrap(), Some(state()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_no_empty_system() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        std::fs::write(&path, "{\"format\": 1").unwrap();
        assert!(State::read(&path).is_err());
    }

    #[test]
    fn a_state_prints_as_it_is_written() {
        for state in [PartState::CrashLoop, PartState::NotReady, PartState::Ready] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    fn state() -> State {
        let part = PartStatus {
            name: "user-service-1".to_owned(),
            service: "user-service".to_owned(),
            kind: Kind::Service,
            version: None,
            state: PartState::Ready,
            url: "http://127.0.0.1:20001".to_owned(),
            admin_url: None,
            process: Some(Identity { pid: 7, start_ticks: 8 }),
            restarts: 2,
            note: None,
            since: "2026-01-01T00:00:00Z".to_owned(),
            log: ".regatta/logs/user-service-1.log".to_owned(),
        };
        State {
            format: 1,
            name: "shop".to_owned(),
            manifest: "regatta.yaml".to_owned(),
            isolated: false,
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            supervisor: Identity { pid: 1, start_ticks: 2 },
            gateway: Some("http://127.0.0.1:8080".to_owned()),
            registry: None,
            config_center: None,
            events: Some(Bus::of("postgres://app:pw@db/events")),
            stop_within_ms: 30_000,
            parts: vec![part],
        }
    }
}
