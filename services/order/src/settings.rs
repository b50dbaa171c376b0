//! What an operator sets about orders.

use std::time::Duration;

use regatta::settings;

settings! {
    /// How long the steps of an order may take.
    pub struct SagaSettings in "saga" {
        /// How long an order waits for its payment before it is cancelled; a payment that comes
        /// later is given back. Longer than the payment-service or the bus are away in a restart.
        pub payment_within: Duration = Duration::from_secs(300),
            range Duration::from_secs(1)..=Duration::from_secs(43_200);
    }
}
