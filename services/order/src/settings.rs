//! What an operator sets about orders.

use std::time::Duration;

use regatta::settings;

settings! {
    /// When the service itself goes on with orders that stayed pending.
    pub struct SettlementSettings in "settlement" {
        /// How long an order stays pending before the service goes on with it: longer than a request
        /// takes, so that it does not do what a client is about to do.
        pub after: Duration = Duration::from_secs(60), range Duration::from_secs(1)..;
        /// Time between two looks at the pending orders.
        pub every: Duration = Duration::from_secs(10), range Duration::from_millis(100)..;
    }
}
