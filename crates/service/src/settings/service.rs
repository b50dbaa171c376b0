//! Group `service`: who this process is.

use regatta_config::settings;

settings! {
    /// Who this process is.
    pub struct ServiceSettings in "service" {
        /// The subset it belongs to (Istio's label `version`), such as v1: canary weights name it.
        pub version: Option<String>, env "SERVICE_VERSION";
        /// Failure domain, such as eu-central-1a.
        pub zone: Option<String>;
        /// Share of the traffic beside its siblings; 0 takes it out of weighted balancing.
        pub weight: u32 = 1, range ..=1000;
        /// The id of this instance in the registry, in logs and traces; <name>-<host>-<port> when
        /// it is not set.
        pub instance: Option<String>, env "REGATTA_INSTANCE";
        /// The host that others reach this instance at; when it is not set, server.host, or the
        /// address of this machine's way out when that is 0.0.0.0.
        pub advertise: Option<String>;
    }
}
