//! `regatta events`: what is on the bus, and what to do about what failed.

mod dead;
mod forget;
mod groups;
mod history;
mod place;
mod publish;
mod redrive;
mod replay;
mod tail;
mod when;

use clap::Subcommand;

use crate::failure::Failure;
use crate::output::Format;
use crate::system::Place;

pub(crate) use place::is_there;
pub(crate) use when::{moment, rfc3339};

/// Events between services.
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    Tail(tail::Tail),
    List(history::List),
    Publish(publish::Publish),
    Groups(groups::Groups),
    Dead(dead::Dead),
    Redrive(redrive::Redrive),
    Replay(replay::Replay),
    Forget(forget::Forget),
}

impl Events {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        match self {
            Self::Tail(verb) => verb.run(place, format).await,
            Self::List(verb) => verb.run(place, format).await,
            Self::Publish(verb) => verb.run(place, format).await,
            Self::Groups(verb) => verb.run(place, format).await,
            Self::Dead(verb) => verb.run(place, format).await,
            Self::Redrive(verb) => verb.run(place, format).await,
            Self::Replay(verb) => verb.run(place, format).await,
            Self::Forget(verb) => verb.run(place, format).await,
        }
    }
}
