//! Runs a manifest's processes: build, start in order, restart, logs, stop.
//!
//! A [`Plan`] says which processes make the system. A [`Supervisor`] builds them, starts each as
//! soon as what it needs is ready, registers those that do not register themselves, starts those
//! that die again after a [`Backoff`], and ends them in reverse order. A service is ready when it
//! answers and the registry lists it; the gateway starts when all of them are, so that it knows them
//! with its first request. The supervisor tells what happens as [`Event`]s, and keeps [`State`] in a
//! file that other processes read. [`down`] stops it from outside, and cleans up after one that was
//! killed.

mod layout;
pub use layout::Layout;

mod part;
pub use part::{Kind, Part, Port, Run};

mod registration;
pub use registration::{Registry, RegistryClient};

mod plan;
pub use plan::{Plan, PlanError};

mod supervisor;
pub use supervisor::{Settings, Supervisor};

mod event;
pub use event::Event;

mod state;
pub use state::{PartState, PartStatus, State};

mod bus;
pub use bus::Bus;

mod error;
pub use error::{Conflict, Error};

mod down;
pub use down::{Stopped, clean, down, leftovers, running, running_state};

mod inspect;
pub use inspect::{Inspection, inspect};

pub mod logs;

pub mod ports;

mod secret;
pub use secret::{development_secret, read_secret};

mod build;
pub use build::{BuildError, Profile};

mod backoff;
pub use backoff::{Backoff, CRASH_LOOP};

mod order;
pub use order::levels;

mod address;
mod board;
mod clock;
mod environment;
mod keeper;
mod listing;
mod lock;
mod process;
mod readiness;
mod state_file;
pub use process::Identity;
