//! A change of settings as a release, in stages, to all in the end: pure rules.
//!
//! All state is in the center: a [`Release`] says where it stands, and a [`Rollout`], which the
//! instances follow, whom its changes reach. Whoever drives it reads the instances' reports, asks
//! [`Release::advance`] what is next, and writes that with [`Writes`]. Two drivers cannot both: each
//! write expects the release as it was read.

mod stage;
pub use stage::{InvalidStage, Stage, pick};

mod rollout;
pub use rollout::Rollout;

mod thresholds;
pub use thresholds::Thresholds;

mod state;
pub use state::{OnWorse, Phase, Release, Staging, StepNote, Totals};

mod advance;
pub use advance::Action;

mod overtaken;

mod writes;
pub use writes::{Refusal, Writes};
