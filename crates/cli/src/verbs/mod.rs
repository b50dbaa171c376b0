//! The verbs, one a file.

mod backup;
mod config;
mod control;
mod doctor;
mod down;
mod events;
mod gateway;
mod logs;
mod new;
mod open_files;
mod projections;
mod ps;
mod serving;
mod store;
mod streams;
mod tls;
mod token;
mod up;

use clap::Subcommand;

use crate::failure::Failure;
use crate::output::Format;
use crate::system::Place;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Up(up::Up),
    Ps(ps::Ps),
    Logs(logs::Logs),
    Down(down::Down),
    Token(token::Token),
    #[command(subcommand)]
    Config(Box<config::Config>),
    #[command(subcommand)]
    Events(events::Events),
    #[command(subcommand)]
    Streams(streams::Streams),
    #[command(subcommand)]
    Projections(projections::Projections),
    New(new::New),
    Doctor(doctor::Doctor),
    Control(Box<control::Control>),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Gateway(gateway::Gateway),
}

impl Verb {
    /// Does it.
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        match self {
            Self::Up(verb) => verb.run(place, format).await,
            Self::Ps(verb) => verb.run(place, format),
            Self::Logs(verb) => verb.run(place, format).await,
            Self::Down(verb) => verb.run(place, format).await,
            Self::Token(verb) => verb.run(place, format),
            Self::Config(verb) => verb.run(place, format).await,
            Self::Events(verb) => verb.run(place, format).await,
            Self::Streams(verb) => verb.run(place, format).await,
            Self::Projections(verb) => verb.run(place, format).await,
            Self::New(verb) => verb.run(place, format),
            Self::Doctor(verb) => verb.run(place, format),
            Self::Control(verb) => verb.run(place, format).await,
            Self::Backup(verb) => verb.run(place, format).await,
            Self::Restore(verb) => verb.run(place, format).await,
            Self::Gateway(verb) => verb.run(place).await,
        }
    }
}
