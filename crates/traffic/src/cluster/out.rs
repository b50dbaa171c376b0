//! Why an instance takes no calls, and when that is overruled: pure rules.

use std::time::Duration;

use regatta_resilience::outlier::{self, Settings};

/// How long a breaker stays open at most when the share of instances is out already that may be.
/// 5 s, as long as the service's own: it hits more than the others can take over for long.
pub(super) const BRIEFLY: Duration = Duration::from_secs(5);

/// Why a member takes no calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Out {
    /// Its breaker admits nothing: its time runs, or its probes are in flight.
    pub(super) open: bool,
    /// The breaker's time runs.
    pub(super) waits: bool,
    /// An operator holds the breaker open.
    pub(super) forced: bool,
    pub(super) ejected: bool,
}

impl Out {
    fn is_out(self) -> bool {
        self.open || self.ejected
    }

    /// Out by a rule and by no operator's word.
    fn is_out_by_rule(self) -> bool {
        self.is_out() && !self.forced
    }

    /// Whether it takes no calls.
    pub(super) fn is_blocked(self, panic: Panic) -> bool {
        self.forced || self.open && !panic.overrules_breakers() || self.ejected && !panic.is_on
    }
}

/// Whether so few members are usable that those that are out by a rule are used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Panic {
    pub(super) is_on: bool,
    /// A member alone has no peers whose state could say that the fault is not its own.
    pub(super) is_alone: bool,
}

impl Panic {
    /// Whether calls go also to members whose breakers opened by themselves.
    pub(super) fn overrules_breakers(self) -> bool {
        self.is_on && !self.is_alone
    }
}

/// How many of the members are out, and for which reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    total: usize,
    out: usize,
    by_rule: usize,
    ejected: usize,
}

impl Census {
    /// So many members, all of them in.
    pub(super) fn new(total: usize) -> Self {
        Self { total, ..Self::default() }
    }

    /// Takes in that a member is out for another reason than before.
    pub(super) fn change(&mut self, before: Out, after: Out) {
        let count = |held: usize, is: fn(Out) -> bool| {
            held + usize::from(is(after)) - usize::from(is(before))
        };
        self.out = count(self.out, Out::is_out);
        self.by_rule = count(self.by_rule, Out::is_out_by_rule);
        self.ejected = count(self.ejected, |out| out.ejected);
    }

    pub(super) fn ejected(&self) -> usize {
        self.ejected
    }

    /// Whether a breaker that opens may be so for its whole time, for what its member was counted
    /// as before: as long as the share that may be out is not out already.
    pub(super) fn may_open(&self, limits: &Settings, before: Out) -> bool {
        let others = self.by_rule - usize::from(before.is_out_by_rule());
        outlier::may_eject(limits, others, self.total)
    }

    pub(super) fn panic(&self, limits: &Settings) -> Panic {
        let is_alone = self.total <= 1;
        let is_of_use = self.ejected > 0 || self.by_rule > 0 && !is_alone;
        let is_on = is_of_use && outlier::in_panic(limits, self.total - self.out, self.total);
        Panic { is_on, is_alone }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN: Out = Out { open: true, waits: true, forced: false, ejected: false };
    const FORCED: Out = Out { open: true, waits: true, forced: true, ejected: false };
    const EJECTED: Out = Out { open: false, waits: false, forced: false, ejected: true };

    fn census(all: &[Out]) -> Census {
        let mut census = Census::new(all.len());
        all.iter().for_each(|out| census.change(Out::default(), *out));
        census
    }

    #[test]
    fn one_alone_is_out_while_its_breaker_is_open() {
        let (census, limits) = (census(&[OPEN]), Settings::default());
        assert!(census.may_open(&limits, OPEN));
        assert!(OPEN.is_blocked(census.panic(&limits)));
        let both = Out { ejected: true, ..OPEN };
        assert!(both.is_blocked(self::census(&[both]).panic(&limits)));
    }

    #[test]
    fn the_second_of_ten_that_opens_does_so_briefly() {
        let mut all = [Out::default(); 10];
        let limits = Settings::default();
        assert!(census(&all).may_open(&limits, Out::default()));
        for first in [OPEN, EJECTED] {
            all[0] = first;
            assert!(!census(&all).may_open(&limits, Out::default()));
            assert!(census(&all).may_open(&limits, first), "it does not count itself");
        }
        all[0] = FORCED;
        assert!(census(&all).may_open(&limits, Out::default()), "an operator's are no fault");
    }

    #[test]
    fn an_operators_word_holds_also_in_a_panic() {
        let census = census(&[FORCED, FORCED, OPEN, Out::default()]);
        let panic = census.panic(&Settings::default());
        assert!(panic.is_on && FORCED.is_blocked(panic) && !OPEN.is_blocked(panic));
        let panic = self::census(&[FORCED, FORCED]).panic(&Settings::default());
        assert!(!panic.is_on, "nobody would be used by it");
    }

    proptest! {
        #[test]
        fn of_several_that_nobody_forced_the_panic_threshold_takes_calls(
            reasons in prop::collection::vec((any::<bool>(), any::<bool>()), 2..60),
            panic_percent in 0_u32..=100,
        ) {
            let limits = limits(panic_percent);
            let of = |(open, ejected)| Out { open, waits: open, forced: false, ejected };
            let all: Vec<Out> = reasons.into_iter().map(of).collect();
            let panic = census(&all).panic(&limits);
            let used = all.iter().filter(|out| !out.is_blocked(panic)).count();
            prop_assert!(used * 100 >= all.len() * panic_percent as usize);
            prop_assert!(!panic.is_on || used == all.len());
        }

        #[test]
        fn the_census_is_what_counting_says(
            changes in prop::collection::vec((0_usize..8, any::<[bool; 3]>()), 0..60),
        ) {
            let (mut all, mut kept) = ([Out::default(); 8], Census::new(8));
            for (place, [open, forced, ejected]) in changes {
                let out = Out { open, waits: open, forced: open && forced, ejected };
                kept.change(std::mem::replace(&mut all[place], out), out);
                prop_assert_eq!(kept, census(&all));
            }
        }
    }

    fn limits(panic_percent: u32) -> Settings {
        let mut limits = Settings::default();
        limits.panic_percent = panic_percent;
        limits
    }
}
