//! What is to be done with one key.

use super::{Report, Tally};

/// What is to be done with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Write,
    Skip,
}

impl Tally {
    /// Decides and counts: `there` is what the target has in its place.
    pub(super) fn decide<T: PartialEq>(&mut self, here: &T, there: Option<&T>, keep: bool) -> Step {
        self.found += 1;
        match there {
            Some(there) if there == here => self.unchanged += 1,
            Some(_) if keep => self.kept += 1,
            _ => {
                self.written += 1;
                return Step::Write;
            }
        }
        Step::Skip
    }

    /// Counts one that is there in another form and keeps it, whatever was asked.
    pub(super) fn keep(&mut self) {
        self.found += 1;
        self.kept += 1;
    }
}

impl Report {
    /// Counts a key that belongs to a client of the source.
    pub(super) fn leave(&mut self) {
        self.keys.found += 1;
        self.leased += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_overwritten_unless_it_is_the_same_or_to_be_kept() {
        let mut report = Report::default();
        assert_eq!(report.keys.decide(&1, None, true), Step::Write);
        assert_eq!(report.keys.decide(&1, Some(&2), false), Step::Write);
        assert_eq!(report.keys.decide(&1, Some(&2), true), Step::Skip);
        assert_eq!(report.keys.decide(&1, Some(&1), false), Step::Skip);
        report.leave();
        let Tally { found, written, unchanged, kept } = report.keys;
        assert_eq!([found, written, unchanged, kept, report.leased], [5, 2, 1, 1, 1]);
    }
}
