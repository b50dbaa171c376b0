//! Sessions: who may hold locks, until when, and what ends with them.

mod session;
pub(crate) use session::{Behavior, Session, SessionSpec};

mod all;
pub(crate) use all::Sessions;

mod rules;
pub(crate) use rules::{Refusal, create, lost};

mod timers;
pub(crate) use timers::Timers;
