//! Tells a view that nobody keeps up to date: a pure rule.

use std::time::{Duration, Instant};

use crate::Position;

/// How long a view may stay where it is before it is told, and how often it is told.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A later release has built the view anew and taken over, so this one cannot go on with it. While
/// that release runs this is a roll-out; when it was rolled back nobody does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the view `{projection}` stands still: a later release has built it as revision {later}, and \
     this one has revision {own}; start the later one again, or, when none of it runs any more, run \
     `regatta projections rebuild {projection} --revision {own}`"
)]
#[non_exhaustive]
pub struct Overtaken {
    /// The name of the projection.
    pub projection: String,
    /// The revision of this release.
    pub own: u32,
    /// The revision of the view that is read.
    pub later: u32,
}

/// Where the view was, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standstill {
    position: Position,
    since: Instant,
}

/// What a look at the view says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Somebody keeps it up to date.
    Moves,
    /// It is where it was; that may be for want of events, or for a moment only.
    Waits,
    /// It has been there for [`PATIENCE`], or for another one.
    Stands,
}

impl Standstill {
    pub(super) fn new(position: Position, now: Instant) -> Self {
        Self { position, since: now }
    }

    pub(super) fn look(&mut self, position: Position, now: Instant) -> Look {
        if position != self.position {
            *self = Self::new(position, now);
            return Look::Moves;
        }
        if now.saturating_duration_since(self.since) < PATIENCE {
            return Look::Waits;
        }
        self.since = now;
        Look::Stands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_that_stays_where_it_is_is_told_of_once_a_minute() {
        let start = tokio::time::Instant::now().into_std();
        let at = |second| start + Duration::from_secs(second);
        let mut view = Standstill::new(Position::new(5), start);
        let mut look = |position, second| view.look(Position::new(position), at(second));
        assert_eq!(
            [look(5, 1), look(5, 59), look(5, 60)],
            [Look::Waits, Look::Waits, Look::Stands]
        );
        assert_eq!([look(5, 61), look(5, 121)], [Look::Waits, Look::Stands]);
    }

    #[test]
    fn one_that_moves_is_kept_up_to_date_by_somebody() {
        let start = tokio::time::Instant::now().into_std();
        let at = |second| start + Duration::from_secs(second);
        let mut view = Standstill::new(Position::new(5), start);
        assert_eq!(view.look(Position::new(6), at(59)), Look::Moves);
        assert_eq!(view.look(Position::new(6), at(100)), Look::Waits);
        assert_eq!(view.look(Position::new(7), at(500)), Look::Moves);
    }
}
