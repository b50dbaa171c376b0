//! One process to be: what runs, where it listens, what it needs.

use std::collections::BTreeMap;

use regatta_manifest::Health;
use serde::{Deserialize, Serialize};

/// What a part is to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The registry; starts first and stops last.
    ControlPlane,
    /// A service of the manifest.
    Service,
    /// The reverse proxy.
    Gateway,
}

/// What is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// The binary of a cargo package of this workspace, built first.
    Cargo {
        /// The package.
        package: String,
    },
    /// A program found on the `PATH`, and its arguments.
    Command {
        /// The program.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// A verb of the `regatta` program itself; `{listen}`, `{admin}`, `{data}` and `{manifest}`
    /// stand for what is known once ports are chosen.
    Regatta {
        /// The verb and its arguments.
        arguments: Vec<String>,
    },
}

/// Which port a part listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// This one; the manifest key that sets it stands in the message when it is taken.
    Fixed {
        /// The port, 1 to 65535.
        port: u16,
        /// Where an operator changes it, such as `gateway.listen`.
        key: String,
    },
    /// Any that is free.
    Free,
}

/// One process to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Unique in the system, such as `user-service-1`; the name of its log and its instance id.
    pub name: String,
    /// What callers use, such as `user-service`; equal for all replicas.
    pub service: String,
    /// What it is to the system.
    pub kind: Kind,
    /// What is executed.
    pub run: Run,
    /// The subset it belongs to.
    pub version: Option<String>,
    /// Services that are ready before this part starts.
    pub needs: Vec<String>,
    /// The address it binds.
    pub host: String,
    /// The port it serves on.
    pub port: Port,
    /// A second port, for operators only.
    pub admin: Option<(String, Port)>,
    /// Where it also speaks etcd's protocol; the control plane only.
    pub etcd: Option<(String, Port)>,
    /// Where it also answers DNS, over UDP and TCP; the control plane only.
    pub dns: Option<(String, Port)>,
    /// Whether it speaks TLS on its own port and on etcd's.
    pub tls: bool,
    /// What it is asked to learn whether it is ready, by the supervisor and by the registry.
    pub health: Health,
    /// Whether the supervisor registers it, because it does not register itself.
    pub register: bool,
    /// Whether the registry is to list it: it counts as started once that does. Not the platform's
    /// own parts, nor a service that was told not to register.
    pub is_listed: bool,
    /// Whether it gets a database of its own.
    pub database: bool,
    /// Variables of the manifest.
    pub environment: BTreeMap<String, String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A part that runs `/bin/true`, for tests of rules.
    pub(crate) fn part(name: &str, needs: &[&str]) -> Part {
        Part {
            name: name.to_owned(),
            service: name.to_owned(),
            kind: Kind::Service,
            run: Run::Command { program: "/bin/true".to_owned(), arguments: Vec::new() },
            version: None,
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            host: "127.0.0.1".to_owned(),
            port: Port::Free,
            admin: None,
            etcd: None,
            dns: None,
            tls: false,
            health: Health::of_chassis(),
            register: false,
            is_listed: true,
            database: false,
            environment: BTreeMap::new(),
        }
    }
}
