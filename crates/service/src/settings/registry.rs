//! Group `registry`: where instances are registered and found.

use std::path::PathBuf;
use std::time::Duration;

use regatta_config::settings;
use regatta_core::Secret;

settings! {
    /// Where this instance is registered and others are found.
    pub struct RegistrySettings in "registry" {
        /// consul://host:port (Regatta's own registry or HashiCorp Consul), dns:{service}:port or
        /// an SRV name with {service} in it, static:name=host:port for fixed addresses, memory:
        /// for services of one process, or none.
        pub url: String = "consul://127.0.0.1:8500".to_owned(), env "CONSUL_HTTP_ADDR";
        /// Whether this instance registers itself; false where somebody else does it.
        pub register: bool = true;
        /// Token for Consul's access control.
        pub token: Option<Secret>, env "CONSUL_HTTP_TOKEN";
        /// The certificates to trust, a file in PEM; for https, beside those of the machine.
        pub ca_file: Option<PathBuf>, env "CONSUL_CACERT";
        /// This process's own certificate, a file in PEM, where the registry asks for one.
        pub cert_file: Option<PathBuf>, env "CONSUL_CLIENT_CERT";
        /// The key of that, a file in PEM.
        pub key_file: Option<PathBuf>, env "CONSUL_CLIENT_KEY";
        /// Time between two checks of this instance by the registry.
        pub check_interval: Duration = Duration::from_secs(10), range Duration::from_secs(1)..;
        /// How long a check may take.
        pub check_timeout: Duration = Duration::from_secs(5), range Duration::from_millis(100)..;
        /// After how long of failing checks the registry forgets this instance.
        pub deregister_after: Duration = Duration::from_secs(600), range Duration::from_secs(60)..;
        /// Words that instances can be selected by in the registry.
        pub tags: Vec<String>;
    }
}
