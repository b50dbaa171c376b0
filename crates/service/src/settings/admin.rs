//! Groups `admin` and `config`: what an operator sees and changes while it runs.

use std::net::SocketAddr;
use std::time::Duration;

use regatta_config::settings;

settings! {
    /// The port for operators, apart from the one that serves. It asks for no token: keep it on
    /// the loopback, or where only operators reach it.
    pub struct AdminSettings in "admin" {
        /// Where to listen, such as 127.0.0.1:9901; port 0 for any free one. None when not set.
        pub listen: Option<SocketAddr>, env "ADMIN_LISTEN";
    }
}

settings! {
    /// Settings that change while the service runs.
    pub struct ReloadSettings in "config" {
        /// Time between two looks at the file at CONFIG_PATH; 0 switches them off. What changes
        /// in `client` and `shed` holds at once, all else from the next start.
        pub reload_every: Duration = Duration::from_secs(2);
    }
}
