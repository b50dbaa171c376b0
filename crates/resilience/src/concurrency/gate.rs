//! Who is admitted, who waits, who is turned away: no clock, no runtime.
//!
//! # Source
//!
//! Beyer et al., *Site Reliability Engineering*, chapter 21, "Handling Overload": criticality, and
//! rejecting the least critical first.

use std::collections::BTreeMap;

use crate::concurrency::{Priority, Settings};

/// A place in the queue: the most urgent first, of them who came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    priority: Priority,
    number: u64,
}

/// What becomes of a call that arrives.
#[derive(Debug)]
pub(crate) enum Arrival<W> {
    Admitted,
    /// It waits; another gave up its place for it, or there was one.
    Waits {
        place: Place,
        evicted: Option<W>,
    },
    TurnedAway,
}

/// Counts the calls in flight and keeps who waits, each with a `W`.
#[derive(Debug)]
pub(crate) struct Gate<W> {
    limit: u32,
    in_flight: u32,
    queue: u32,
    reserved_percent: u32,
    waiting: BTreeMap<Place, W>,
    arrived: u64,
}

impl<W> Gate<W> {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            limit: settings.limit,
            in_flight: 0,
            queue: settings.queue,
            reserved_percent: settings.reserved_percent,
            waiting: BTreeMap::new(),
            arrived: 0,
        }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Goes on with another limit; calls in flight stay, also those over it.
    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Goes on with another queue; those who wait stay, also those over it.
    pub(crate) fn set_queue(&mut self, settings: &Settings) {
        self.queue = settings.queue;
        self.reserved_percent = settings.reserved_percent;
    }

    /// A call arrives that does not want to wait; says whether it is admitted.
    pub(crate) fn try_arrive(&mut self, priority: Priority) -> bool {
        // Nobody overtakes who waits, but the more urgent.
        let first = self.waiting.first_key_value();
        let admitted =
            first.is_none_or(|(place, _)| priority < place.priority) && self.has_room(priority);
        self.in_flight += u32::from(admitted);
        admitted
    }

    /// A call arrives; `waiter` is kept if it has to wait.
    pub(crate) fn arrive(&mut self, priority: Priority, waiter: impl FnOnce() -> W) -> Arrival<W> {
        if self.try_arrive(priority) {
            return Arrival::Admitted;
        }
        let mut evicted = None;
        if self.waiting.len() >= self.queue as usize {
            // The last to be served makes place, if it is less urgent.
            match self.waiting.last_entry() {
                Some(last) if last.key().priority > priority => evicted = Some(last.remove()),
                _ => return Arrival::TurnedAway,
            }
        }
        self.arrived += 1;
        let place = Place { priority, number: self.arrived };
        self.waiting.insert(place, waiter());
        Arrival::Waits { place, evicted }
    }

    /// A call has ended.
    pub(crate) fn leave(&mut self) {
        self.in_flight -= 1;
    }

    /// The next who waits and has room now; it is in flight from here on.
    pub(crate) fn next(&mut self) -> Option<W> {
        let (place, _) = self.waiting.first_key_value()?;
        if !self.has_room(place.priority) {
            return None;
        }
        self.in_flight += 1;
        self.waiting.pop_first().map(|(_, waiter)| waiter)
    }

    /// Who waited here waits no more; none if it had not waited any longer.
    pub(crate) fn give_up(&mut self, place: Place) -> Option<W> {
        self.waiting.remove(&place)
    }

    fn has_room(&self, priority: Priority) -> bool {
        let reserved = if priority > Priority::default() {
            u64::from(self.limit) * u64::from(self.reserved_percent) / 100
        } else {
            0
        };
        u64::from(self.in_flight) < u64::from(self.limit) - reserved
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gate(limit: u32, queue: u32) -> Gate<u32> {
        let settings = Settings::new(limit).with_reserved_percent(50);
        Gate::new(&settings.with_queue(queue, std::time::Duration::ZERO))
    }

    fn urgency(urgency: u8) -> Priority {
        Priority::try_new(urgency).unwrap()
    }

    fn arrive(gate: &mut Gate<u32>, priority: u8, name: u32) -> Arrival<u32> {
        gate.arrive(urgency(priority), || name)
    }

    #[test]
    fn admits_up_to_the_limit_then_queues_then_turns_away() {
        let mut gate = gate(2, 1);
        assert!(matches!(arrive(&mut gate, 3, 1), Arrival::Admitted));
        assert!(matches!(arrive(&mut gate, 3, 2), Arrival::Admitted));
        assert!(matches!(arrive(&mut gate, 3, 3), Arrival::Waits { evicted: None, .. }));
        assert!(matches!(arrive(&mut gate, 3, 4), Arrival::TurnedAway));
        assert_eq!(gate.next(), None);
        gate.leave();
        assert_eq!(gate.next(), Some(3));
        assert_eq!((gate.in_flight(), gate.waiting()), (2, 0));
    }

    #[test]
    fn the_most_urgent_is_served_first_and_of_them_who_came_first() {
        let mut gate = gate(1, 9);
        arrive(&mut gate, 3, 0);
        for (name, priority) in [(1, 3), (2, 0), (3, 3), (4, 1)] {
            arrive(&mut gate, priority, name);
        }
        let served: Vec<_> = (0..4)
            .map(|_| {
                gate.leave();
                gate.next().unwrap()
            })
            .collect();
        assert_eq!(served, [2, 4, 1, 3]);
    }

    #[test]
    fn a_full_queue_sheds_the_least_urgent_who_came_last_for_one_more_urgent() {
        let mut gate = gate(1, 3);
        arrive(&mut gate, 3, 0);
        for (name, priority) in [(1, 5), (2, 4), (3, 5)] {
            arrive(&mut gate, priority, name);
        }
        assert!(matches!(arrive(&mut gate, 5, 4), Arrival::TurnedAway));
        assert!(matches!(arrive(&mut gate, 4, 5), Arrival::Waits { evicted: Some(3), .. }));
        assert!(matches!(arrive(&mut gate, 0, 6), Arrival::Waits { evicted: Some(1), .. }));
        assert!(matches!(arrive(&mut gate, 4, 7), Arrival::TurnedAway));
    }

    #[test]
    fn the_less_urgent_leave_the_reserved_share_free() {
        let mut gate = gate(4, 0);
        assert!(matches!(arrive(&mut gate, 4, 1), Arrival::Admitted));
        assert!(matches!(arrive(&mut gate, 7, 2), Arrival::Admitted));
        assert!(matches!(arrive(&mut gate, 4, 3), Arrival::TurnedAway));
        assert!(matches!(arrive(&mut gate, 3, 4), Arrival::Admitted));
        assert!(matches!(arrive(&mut gate, 0, 5), Arrival::Admitted));
        assert!(matches!(arrive(&mut gate, 0, 6), Arrival::TurnedAway));
    }

    #[test]
    fn nobody_overtakes_who_waits_as_urgently() {
        let mut gate = gate(1, 2);
        arrive(&mut gate, 3, 1);
        arrive(&mut gate, 3, 2);
        gate.leave();
        assert!(matches!(arrive(&mut gate, 3, 3), Arrival::Waits { .. }));
        assert!(matches!(arrive(&mut gate, 2, 4), Arrival::Admitted));
    }

    #[test]
    fn a_smaller_limit_takes_nothing_from_who_is_in_flight() {
        let mut gate = gate(3, 1);
        (0..3).for_each(|name| assert!(matches!(arrive(&mut gate, 3, name), Arrival::Admitted)));
        gate.set_limit(1);
        arrive(&mut gate, 3, 7);
        gate.leave();
        gate.leave();
        assert_eq!(gate.next(), None);
        gate.leave();
        assert_eq!(gate.next(), Some(7));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arrive(u8),
        Leave,
        GiveUp(usize),
        Limit(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => (0_u8..8).prop_map(Step::Arrive),
            3 => Just(Step::Leave),
            1 => any::<usize>().prop_map(Step::GiveUp),
            1 => (1_u32..6).prop_map(Step::Limit),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn in_flight_never_grows_past_the_limit_nor_the_queue_past_its_bound(
            steps in steps(), queue in 0_u32..6,
        ) {
            let mut gate = gate(3, queue);
            let (mut places, mut name) = (BTreeMap::new(), 0);
            for step in steps {
                let before = gate.in_flight();
                match step {
                    Step::Arrive(priority) => {
                        name += 1;
                        if let Arrival::Waits { place, evicted } = arrive(&mut gate, priority, name) {
                            places.insert(name, place);
                            if let Some(evicted) = evicted {
                                let given = places.remove(&evicted).unwrap();
                                prop_assert!(given.priority > urgency(priority));
                            }
                        }
                    }
                    Step::Leave if before > 0 => gate.leave(),
                    Step::Leave => (),
                    Step::GiveUp(which) if !places.is_empty() => {
                        let name = *places.keys().nth(which % places.len()).unwrap();
                        let place = places.remove(&name).unwrap();
                        prop_assert_eq!(gate.give_up(place), Some(name));
                    }
                    Step::GiveUp(_) => (),
                    Step::Limit(limit) => gate.set_limit(limit),
                }
                while let Some(served) = gate.next() {
                    let place = places.remove(&served).unwrap();
                    // Nobody who waits is more urgent, or as urgent and earlier.
                    prop_assert!(places.values().all(|other| place < *other));
                }
                prop_assert!(gate.in_flight() <= gate.limit().max(before));
                prop_assert!(gate.waiting() <= queue as usize);
                prop_assert_eq!(gate.waiting(), places.len());
                // Work is done as long as there is room for it.
                let idle = places.values().any(|place| gate.has_room(place.priority));
                prop_assert!(!idle || places.values().min().is_some_and(|first| !gate.has_room(first.priority)));
            }
        }
    }
}
