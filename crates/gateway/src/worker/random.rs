//! Random numbers for ids and turns; not for secrets.

use std::cell::RefCell;

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

thread_local! {
    static RANDOM: RefCell<SmallRng> = RefCell::new(SmallRng::from_rng(&mut rand::rng()));
}

/// The core's next random number.
pub(crate) fn next() -> u64 {
    RANDOM.with_borrow_mut(RngCore::next_u64)
}
