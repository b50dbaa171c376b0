//! Group `config_center`: where settings of many instances are kept.

use std::path::PathBuf;
use std::time::Duration;

use regatta_config::settings;
use regatta_core::Secret;

settings! {
    /// Where settings of many instances are kept and changed while they run.
    pub struct ConfigCenterSettings in "config_center" {
        /// etcd://host:port (Regatta's own or etcd), etcds:// for TLS, several with a comma between
        /// them; user and password as in etcd://user:password@host. None when not set: a process
        /// takes no settings from a place that nobody named.
        pub url: Option<Secret>, env "ETCDCTL_ENDPOINTS";
        /// What the keys there begin with.
        pub prefix: String = "/config/".to_owned();
        /// User and password, with a colon between them, where the URL has none.
        pub user: Option<Secret>, env "ETCDCTL_USER";
        /// The certificates to trust, a file in PEM; needed for TLS.
        pub ca_file: Option<PathBuf>, env "ETCDCTL_CACERT";
        /// This process's own certificate, a file in PEM, where the center asks for one.
        pub cert_file: Option<PathBuf>, env "ETCDCTL_CERT";
        /// The key of that, a file in PEM.
        pub key_file: Option<PathBuf>, env "ETCDCTL_KEY";
        /// Longest time that a start waits for the center; then it goes on with what was known last.
        pub start_timeout: Duration = Duration::from_secs(1), range ..=Duration::from_secs(60);
        /// Whether the last known settings are kept in a file, for a start while the center is away.
        pub keep: bool = true;
        /// That file; .regatta/data/<service>/config-center.json when not set, with the instance's id
        /// before .json where it has one. Readable by its owner alone: it may hold secrets.
        pub kept_file: Option<PathBuf>;
        /// Time between two reports of the instance to the center while nothing changes. While a
        /// release of its settings is under way it reports every second, or at this pace if that is
        /// faster.
        pub report_every: Duration = Duration::from_secs(5),
            range Duration::from_millis(50)..=Duration::from_secs(60);
    }
}
