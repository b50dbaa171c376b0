//! Which build of a projection is worked on, and when it takes over: a pure rule.

use crate::Position;

/// One build of a projection: its tables, filled from the first event on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// Counts the builds of the projection, from 1; part of the tables' names.
    pub generation: u32,
    /// The revision of the code that fills it.
    pub revision: u32,
    /// What it is for.
    pub stage: Stage,
    /// The last event that is in it.
    pub position: Position,
}

/// What a build is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It was asked for; its tables are not made yet.
    Requested,
    /// It is filled beside the active one; nobody reads it and it has no effects.
    Building,
    /// It is what queries read, and what has effects.
    Active,
    /// It was the active one until the next took over; kept until one after that does.
    Retired,
}

/// What a projector does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the tables of this generation: one was asked for, or there is none of this revision.
    Begin {
        /// The build.
        generation: u32,
    },
    /// Take events into this build, at most up to a position when one is given.
    Advance {
        /// The build.
        generation: u32,
        /// The position it has.
        from: Position,
        /// A build that is filled stays behind the active one: what it took beyond, the active one
        /// would have had effects for, and nobody would have them.
        until: Option<Position>,
    },
    /// Let this build take over: it is where the active one is.
    Promote {
        /// The build.
        generation: u32,
    },
    /// Nothing: a later release's build is the active one, or will be the first.
    Rest,
}

impl Step {
    /// The steps of a projector whose code has this revision, given all builds. `is_up_to_date` says
    /// of a build whether the last read found nothing after it.
    ///
    /// An active build of this revision is kept up to date; a newer one that is building, too.
    #[must_use]
    pub fn plan(builds: &[Build], revision: u32, is_up_to_date: impl Fn(u32) -> bool) -> Vec<Self> {
        let active = builds.iter().find(|build| build.stage == Stage::Active);
        let coming =
            builds.iter().filter(|build| matches!(build.stage, Stage::Building | Stage::Requested));
        let newest = coming.max_by_key(|build| build.generation);
        let mut steps = Vec::new();
        if let Some(active) = active.filter(|active| active.revision == revision) {
            let (generation, from) = (active.generation, active.position);
            steps.push(Self::Advance { generation, from, until: None });
        }
        if let Some(newest) = newest.filter(|newest| newest.revision == revision) {
            let (generation, from) = (newest.generation, newest.position);
            let until = active.map(|active| active.position);
            let has_caught_up = match until {
                Some(until) => from >= until,
                None => is_up_to_date(generation),
            };
            steps.push(if newest.stage == Stage::Requested {
                Self::Begin { generation }
            } else if has_caught_up {
                Self::Promote { generation }
            } else {
                Self::Advance { generation, from, until }
            });
        }
        let is_older = |build: &Build| build.stage == Stage::Retired || build.revision < revision;
        let last = builds.iter().map(|build| build.generation).max().unwrap_or(0);
        match steps.is_empty() {
            false => steps,
            true if builds.iter().all(is_older) => vec![Self::Begin { generation: last + 1 }],
            true => vec![Self::Rest],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_build_one_is_begun_and_takes_over_when_it_has_read_everything() {
        assert_eq!(Step::plan(&[], 1, |_| false), [Step::Begin { generation: 1 }]);
        let first = [build(1, 1, Stage::Building, 5)];
        let advance = Step::Advance { generation: 1, from: at(5), until: None };
        assert_eq!(Step::plan(&first, 1, |_| false), [advance]);
        assert_eq!(Step::plan(&first, 1, |_| true), [Step::Promote { generation: 1 }]);
    }

    #[test]
    fn a_new_revision_is_built_beside_the_active_one_and_never_beyond_it() {
        let active = build(1, 1, Stage::Active, 90);
        assert_eq!(Step::plan(&[active], 2, |_| true), [Step::Begin { generation: 2 }]);
        let behind = [active, build(2, 2, Stage::Building, 5)];
        let advance = Step::Advance { generation: 2, from: at(5), until: Some(at(90)) };
        assert_eq!(Step::plan(&behind, 2, |_| true), [advance]);
        let level = [active, build(2, 2, Stage::Building, 90)];
        assert_eq!(Step::plan(&level, 2, |_| false), [Step::Promote { generation: 2 }]);
    }

    #[test]
    fn an_older_release_goes_on_with_its_build_until_the_later_one_takes_over() {
        let builds = [build(1, 1, Stage::Active, 90), build(2, 2, Stage::Building, 5)];
        let advance = Step::Advance { generation: 1, from: at(90), until: None };
        assert_eq!(Step::plan(&builds, 1, |_| true), [advance]);
        let builds = [build(1, 1, Stage::Retired, 90), build(2, 2, Stage::Active, 95)];
        assert_eq!(Step::plan(&builds, 1, |_| true), [Step::Rest]);
    }

    #[test]
    fn a_rebuild_of_the_same_revision_goes_on_beside_the_active_one() {
        let active = Step::Advance { generation: 1, from: at(90), until: None };
        let builds = [build(1, 1, Stage::Active, 90), build(2, 1, Stage::Requested, 0)];
        let steps = Step::plan(&builds, 1, |_| true);
        assert_eq!(steps, [active, Step::Begin { generation: 2 }]);
        let builds = [build(1, 1, Stage::Active, 90), build(2, 1, Stage::Building, 5)];
        let steps = Step::plan(&builds, 1, |_| true);
        let building = Step::Advance { generation: 2, from: at(5), until: Some(at(90)) };
        assert_eq!(steps, [active, building]);
    }

    #[test]
    fn of_two_that_are_coming_the_newer_one_is_filled() {
        let builds = [
            build(1, 1, Stage::Active, 90),
            build(2, 2, Stage::Building, 5),
            build(3, 2, Stage::Building, 90),
        ];
        assert_eq!(Step::plan(&builds, 2, |_| true), [Step::Promote { generation: 3 }]);
    }

    fn at(position: u64) -> Position {
        Position::new(position)
    }

    fn build(generation: u32, revision: u32, stage: Stage, position: u64) -> Build {
        Build { generation, revision, stage, position: at(position) }
    }
}
