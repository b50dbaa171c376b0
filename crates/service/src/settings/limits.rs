//! Group `limits`: where limits are kept that replicas share.

use regatta_config::{choices, settings};
use regatta_core::Secret;

settings! {
    /// Where the limits of clients (`rate_limit`) are kept, so that all replicas of a service share
    /// them.
    pub struct LimitsSettings in "limits" {
        /// `redis://host:6379` or `rediss://`; not set, each replica counts for itself.
        pub url: Option<Secret>;
        /// What happens to requests while it is out of reach.
        pub on_outage: OnOutage;
    }
}

choices! {
    /// What happens to requests while the shared counts are out of reach.
    #[derive(Default)]
    pub enum OnOutage {
        /// Each replica counts by itself, with the whole limit.
        #[default]
        Count = "count",
        /// Every request passes.
        Admit = "admit",
        /// None passes; clients are told to come back in a second.
        Refuse = "refuse",
    }
}
