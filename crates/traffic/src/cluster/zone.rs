//! How many of the calls stay in the caller's zone: a pure rule.

/// Out of 100 calls those that stay in the caller's zone, for the usable and all instances there.
///
/// All of them while at least 72 % of the zone's instances are usable; below that the others take
/// over what these lack, so that no zone is driven into the ground to save a hop.
///
/// # Source
///
/// Envoy, "Priority levels": the health of a level is its usable share times an overprovisioning
/// factor of 1.4, at most all; what is missing goes to the next level.
pub(super) fn local_percent(usable: u32, total: u32) -> u32 {
    const OVERPROVISIONING_PERCENT: u64 = 140;
    if total == 0 {
        return 0;
    }
    let health = u64::from(usable) * OVERPROVISIONING_PERCENT / u64::from(total);
    health.min(100) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_at_home_until_too_few_are_usable_there() {
        assert_eq!(
            [10, 8, 7, 5, 1, 0].map(|usable| local_percent(usable, 10)),
            [100, 100, 98, 70, 14, 0]
        );
        assert_eq!(local_percent(0, 0), 0);
        assert_eq!(local_percent(u32::MAX, u32::MAX), 100);
    }
}
