//! What a supervisor tells while it works.

use serde::{Deserialize, Serialize};

use crate::logs::Record;
use crate::state::{PartStatus, State};

/// One thing that happened; as JSON one object with the member `event`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// Cargo works.
    Building {
        /// Units done.
        done: u32,
        /// Units in all; 0 while unknown.
        total: u32,
        /// What is compiled right now, or what cargo waits for.
        current: String,
    },
    /// Everything is built.
    Built {
        /// How long it took, in seconds.
        seconds: f64,
    },
    /// A part changed.
    Part(PartStatus),
    /// A part printed a line.
    Log(Record),
    /// Something went wrong that the system copes with.
    Warning {
        /// What, and what it means.
        message: String,
    },
    /// Every part is ready.
    Running(State),
    /// The system stops.
    Stopping,
    /// Nothing runs any more.
    Stopped,
    /// The system could not start; nothing runs any more.
    Failed {
        /// What happened and what to do.
        message: String,
        /// What stands behind it: the compiler's errors, the last lines of a log.
        detail: Vec<String>,
    },
}
