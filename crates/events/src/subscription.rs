//! What a subscriber asks for, and when a failed delivery comes again.

use std::time::Duration;

use time::OffsetDateTime;

use crate::{GroupName, TypeFilter};

/// The longest lease and backoff: past a day a person should look.
const DAY: Duration = Duration::from_secs(86_400);

/// What a subscriber asks for. Subscribers of one group should ask for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscription {
    /// Whose progress it is.
    pub group: GroupName,
    /// Which types; default all. Changing it later changes what comes from then on.
    pub types: TypeFilter,
    /// Where a group that is new begins; default [`Start::Latest`]. A known group goes on.
    pub start: Start,
    /// How many deliveries of this subscriber may be unsettled at once. Default 16; 1 to 1000.
    pub max_in_flight: u32,
    /// How long a delivery may stay unsettled before it counts as failed. Default 30 s; 100 ms to
    /// one day.
    pub lease: Duration,
    /// How often an event is delivered before it is a dead letter. Default 8, which with the default
    /// backoff takes about a minute and a half; 1 to 1000.
    pub max_deliveries: u32,
    /// The pause before the second delivery; each further one doubles it. Default 1 s; up to one day.
    pub first_backoff: Duration,
    /// The longest pause between two deliveries. Default 60 s; up to one day.
    pub longest_backoff: Duration,
}

/// Where a group begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event that the bus still has.
    Beginning,
    /// With what is published from now on.
    Latest,
    /// After this position of the bus.
    After(u64),
    /// With the first event that the bus took at this time or later.
    Time(OffsetDateTime),
}

/// What comes after a failed delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another one, after this pause.
    Retry(Duration),
    /// None: it is a dead letter.
    Dead,
}

/// A setting of a subscription is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} `{value}` is out of range; use {range}")]
pub struct InvalidSubscription {
    /// Its name.
    pub setting: &'static str,
    /// What it was set to.
    pub value: String,
    /// What it may be.
    pub range: &'static str,
}

impl Subscription {
    /// A subscription of this group with the defaults.
    pub fn new(group: GroupName) -> Self {
        Self {
            group,
            types: TypeFilter::default(),
            start: Start::Latest,
            max_in_flight: 16,
            lease: Duration::from_secs(30),
            max_deliveries: 8,
            first_backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(60),
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`InvalidSubscription`] names the first out of range.
    pub fn validate(&self) -> Result<(), InvalidSubscription> {
        let wrong =
            |setting, value: String, range| Err(InvalidSubscription { setting, value, range });
        if !(1..=1000).contains(&self.max_in_flight) {
            return wrong("max_in_flight", self.max_in_flight.to_string(), "1 to 1000");
        }
        if !(Duration::from_millis(100)..=DAY).contains(&self.lease) {
            return wrong("lease", format!("{:?}", self.lease), "100 ms to one day");
        }
        if !(1..=1000).contains(&self.max_deliveries) {
            return wrong("max_deliveries", self.max_deliveries.to_string(), "1 to 1000");
        }
        if self.first_backoff > DAY {
            return wrong("first_backoff", format!("{:?}", self.first_backoff), "up to one day");
        }
        if self.longest_backoff > DAY {
            return wrong(
                "longest_backoff",
                format!("{:?}", self.longest_backoff),
                "up to one day",
            );
        }
        Ok(())
    }

    /// What comes after the delivery of this number, from 1, has failed.
    #[must_use]
    pub fn after_failure(&self, delivery: u32) -> Next {
        if delivery >= self.max_deliveries {
            return Next::Dead;
        }
        let doubled = 2_u32.saturating_pow(delivery.saturating_sub(1));
        Next::Retry(self.first_backoff.saturating_mul(doubled).min(self.longest_backoff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription() -> Subscription {
        Subscription::new(GroupName::try_new("mail").unwrap())
    }

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(subscription().validate(), Ok(()));
    }

    #[test]
    fn names_the_first_setting_out_of_range() {
        type Change = fn(&mut Subscription);
        let changes: [(&str, Change); 7] = [
            ("max_in_flight", |it| it.max_in_flight = 0),
            ("max_in_flight", |it| it.max_in_flight = 1001),
            ("lease", |it| it.lease = Duration::from_millis(99)),
            ("max_deliveries", |it| it.max_deliveries = 0),
            ("max_deliveries", |it| it.max_deliveries = 1001),
            ("first_backoff", |it| it.first_backoff = DAY * 2),
            ("longest_backoff", |it| it.longest_backoff = DAY * 2),
        ];
        for (setting, change) in changes {
            let mut wrong = subscription();
            change(&mut wrong);
            assert_eq!(wrong.validate().unwrap_err().setting, setting);
        }
    }

    #[test]
    fn the_pause_doubles_up_to_the_longest_and_then_it_is_dead() {
        let pauses: Vec<_> = (1..=8).map(|number| subscription().after_failure(number)).collect();
        let seconds = [1, 2, 4, 8, 16, 32, 60].map(|s| Next::Retry(Duration::from_secs(s)));
        assert_eq!(pauses[..7], seconds);
        assert_eq!(pauses[7], Next::Dead);
    }

    #[test]
    fn no_number_of_deliveries_overflows() {
        let mut patient = subscription();
        patient.max_deliveries = 1000;
        assert_eq!(patient.after_failure(999), Next::Retry(patient.longest_backoff));
        assert_eq!(patient.after_failure(u32::MAX), Next::Dead);
    }
}
