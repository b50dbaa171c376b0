//! Which instances are outliers, and how many may be out.
//!
//! # Source
//!
//! Envoy, "Outlier detection" (success rate: mean minus factor times standard deviation of the
//! peers' rates; maximum ejection percent, at least one) and "Panic threshold".

use crate::outlier::{Settings, SuccessRate};

/// What one instance answered since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Answers that were in order.
    pub successes: u64,
    /// Answers that were not.
    pub failures: u64,
}

impl Peer {
    fn calls(self) -> u64 {
        self.successes + self.failures
    }

    fn rate(self) -> f64 {
        self.successes as f64 / self.calls() as f64
    }
}

/// Whether one more instance may be ejected when `ejected` of `total` are out already.
///
/// At most [`Settings::max_ejected_percent`] are out, rounded down, but one always may be.
pub fn may_eject(settings: &Settings, ejected: usize, total: usize) -> bool {
    let share = total.saturating_mul(settings.max_ejected_percent as usize) / 100;
    ejected < share.max(1)
}

/// Whether so few of the instances are usable that all are to be used again.
///
/// None of them is no less: an attempt may succeed, and rejecting all calls cannot.
pub fn in_panic(settings: &Settings, usable: usize, total: usize) -> bool {
    usable.saturating_mul(100) < total.saturating_mul(settings.panic_percent as usize)
}

/// The peers whose success rate is too far below the mean, the worst first; by their place.
///
/// Peers with too few calls are neither judged nor counted.
pub fn laggards(rule: &SuccessRate, peers: &[Peer]) -> Vec<usize> {
    let judged = || peers.iter().enumerate().filter(|(_, peer)| peer.calls() >= rule.minimum_calls);
    let number = judged().count();
    if number < rule.minimum_instances as usize {
        return Vec::new();
    }
    let mean = judged().map(|(_, peer)| peer.rate()).sum::<f64>() / number as f64;
    let squares = judged().map(|(_, peer)| (peer.rate() - mean).powi(2)).sum::<f64>();
    let deviation = (squares / number as f64).sqrt();
    let least = mean - deviation * f64::from(rule.deviation_thousandths) / 1000.0;
    let mut found: Vec<_> = judged()
        .map(|(place, peer)| (place, peer.rate()))
        .filter(|(_, rate)| *rate < least)
        .collect();
    found.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    found.into_iter().map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(failures: u64) -> Peer {
        Peer { successes: 1000 - failures, failures }
    }

    #[test]
    fn the_one_that_fails_more_than_its_peers_is_found() {
        let rule = SuccessRate::default();
        let mut peers = vec![peer(10); 9];
        peers.push(peer(300));
        assert_eq!(laggards(&rule, &peers), [9]);
    }

    #[test]
    fn a_fault_that_all_share_is_none_of_a_single_instance() {
        assert!(laggards(&SuccessRate::default(), &[peer(900); 10]).is_empty());
        let alike: Vec<_> = (0..10).map(|number| peer(500 + number)).collect();
        assert!(laggards(&SuccessRate::default(), &alike).is_empty());
    }

    #[test]
    fn the_worst_come_first() {
        let mut peers = vec![peer(0); 18];
        peers.push(peer(700));
        peers.push(peer(900));
        assert_eq!(laggards(&SuccessRate::default(), &peers), [19, 18]);
    }

    #[test]
    fn too_few_peers_or_calls_judge_nobody() {
        let rule = SuccessRate::default();
        let few = [peer(0), peer(0), peer(0), peer(1000)];
        assert!(laggards(&rule, &few).is_empty());
        let mut peers = vec![peer(0); 9];
        peers.push(Peer { successes: 0, failures: 99 });
        assert!(laggards(&rule, &peers).is_empty());
        peers.push(Peer { successes: 0, failures: 100 });
        assert_eq!(laggards(&rule, &peers), [10]);
        assert!(laggards(&rule, &[]).is_empty());
    }

    #[test]
    fn a_tenth_may_be_out_but_one_always() {
        let settings = Settings::default();
        let most =
            |total| (0..).take_while(|ejected| may_eject(&settings, *ejected, total)).count();
        assert_eq!([1, 2, 10, 19, 20, 100].map(most), [1, 1, 1, 1, 2, 10]);
        let none = Settings { max_ejected_percent: 0, ..settings };
        assert!(may_eject(&none, 0, 3) && !may_eject(&none, 1, 3));
    }

    #[test]
    fn under_half_all_are_used_again() {
        let settings = Settings::default();
        assert!(in_panic(&settings, 4, 10));
        assert!(!in_panic(&settings, 5, 10));
        assert!(in_panic(&settings, 0, 1));
        assert!(!in_panic(&settings, 0, 0));
        assert!(!in_panic(&Settings { panic_percent: 0, ..settings }, 0, 10));
    }

    proptest! {
        #[test]
        fn ejected_share_is_never_above_the_maximum(total in 0_usize..500, percent in 0_u32..=100) {
            let settings = Settings { max_ejected_percent: percent, ..Settings::default() };
            let mut ejected = 0;
            while may_eject(&settings, ejected, total) {
                ejected += 1;
                prop_assert!(ejected == 1 || ejected * 100 <= total * percent as usize);
            }
        }

        #[test]
        fn no_peer_that_is_as_good_as_the_mean_is_found(
            answers in prop::collection::vec((0_u64..500, 0_u64..500), 0..40),
        ) {
            let peers: Vec<_> = answers
                .into_iter()
                .map(|(successes, failures)| Peer { successes, failures })
                .collect();
            let rule = SuccessRate::default();
            let judged: Vec<_> = peers.iter().filter(|peer| peer.calls() >= 100).collect();
            let mean = judged.iter().map(|peer| peer.rate()).sum::<f64>() / judged.len() as f64;
            for place in laggards(&rule, &peers) {
                prop_assert!(peers[place].rate() < mean);
                prop_assert!(peers[place].calls() >= 100);
            }
        }
    }
}
