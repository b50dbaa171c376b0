//! How many deliveries a subscriber may hold at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Subscription;

/// The places of a subscriber's `max_in_flight`, for backends. A permit is so many places, given back
/// when it is dropped.
#[derive(Clone, Debug)]
pub struct InFlight(Arc<Semaphore>);

impl InFlight {
    /// All places that the subscription asks for.
    pub fn new(asks: &Subscription) -> Self {
        Self(Arc::new(Semaphore::new(asks.max_in_flight as usize)))
    }

    /// Waits for a place, and takes with it what else is free, so many in all at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no place is taken.
    pub async fn places(&self, most: usize) -> OwnedSemaphorePermit {
        let Ok(mut places) = self.0.clone().acquire_owned().await else {
            // Nobody closes it.
            return std::future::pending().await;
        };
        // What is acknowledged in one commit gives its places back one by one: let it.
        tokio::task::yield_now().await;
        while places.num_permits() < most
            && let Ok(more) = self.0.clone().try_acquire_owned()
        {
            places.merge(more);
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GroupName;

    #[tokio::test]
    async fn what_is_free_is_taken_up_to_so_many_and_none_beyond() {
        let mut asks = Subscription::new(GroupName::try_new("mail").unwrap());
        asks.max_in_flight = 3;
        let in_flight = InFlight::new(&asks);
        let two = in_flight.places(2).await;
        let one = in_flight.places(2).await;
        assert_eq!((two.num_permits(), one.num_permits()), (2, 1));
        let none = tokio::time::timeout(std::time::Duration::ZERO, in_flight.places(1)).await;
        assert!(none.is_err());
        drop(two);
        assert_eq!(in_flight.places(100).await.num_permits(), 2);
    }
}
