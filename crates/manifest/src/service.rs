//! A service of the system.

use std::num::NonZeroU16;
use std::time::Duration;

use regatta_core::ServiceName;

use crate::Traffic;

/// A service of the system: how its processes are made and what they need.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// The line of the manifest where it begins.
    pub line: u32,
    /// What is run.
    pub run: Run,
    /// Whether it gets a database of its own. Default no.
    pub database: bool,
    /// The services it calls; they start before it. Default none.
    pub needs: Vec<ServiceName>,
    /// Its versions with their share of the traffic. Default none: all instances alike.
    pub versions: Vec<Version>,
    /// Instances of each version, or of the service when it has no versions. Default 1.
    pub replicas: NonZeroU16,
    /// Environment variables of its processes, beside those it always gets.
    pub env: Vec<(String, String)>,
    /// The port of its one instance. Default none: a free one.
    pub port: Option<NonZeroU16>,
    /// Full names of its gRPC services, such as `userservice.UserService`.
    pub grpc: Vec<String>,
    /// Time for a whole exchange through the gateway. Default none: the gateway's.
    pub timeout: Option<Duration>,
    /// How the gateway sends requests to its instances.
    pub traffic: Traffic,
    /// Whether `up` registers its processes, because they do not register themselves. Default: yes
    /// for a command or an image, no for a cargo package, which is taken to have the chassis.
    pub register: bool,
    /// What is asked to learn whether a process works. Default: connecting for a service that `up`
    /// registers, `/health/ready` for one that registers itself.
    pub health: Health,
}

/// What a service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// The binary of a package of the Cargo workspace.
    Cargo {
        /// The package; its binary has the same name.
        package: String,
    },
    /// A program with its arguments, run in the manifest's folder.
    Command {
        /// Program and arguments; the program is there.
        argv: Vec<String>,
    },
    /// A container image.
    Image {
        /// The image, such as `ghcr.io/acme/billing:1.4`.
        reference: String,
    },
}

/// What is asked to learn whether a process works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// `GET` of a path on its port; it works when the status is 2xx.
    Http {
        /// The path, beginning with `/`.
        path: String,
    },
    /// Connecting to its port; it works when that succeeds.
    Tcp,
}

/// A version of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its label: `SERVICE__VERSION` of its processes, `version` in the registry.
    pub label: String,
    /// Its share of the traffic, relative to the other versions; may be 0, not all may.
    pub weight: u32,
}

/// One process that is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedInstance<'a> {
    /// The id, unique in the system: `user-service-1`.
    pub id: String,
    /// The label of its version, when the service has versions.
    pub version: Option<&'a str>,
}

impl Health {
    /// What the chassis answers when it is ready.
    pub fn of_chassis() -> Self {
        Self::Http { path: "/health/ready".to_owned() }
    }
}

impl Service {
    /// The processes of the service: `replicas` of each version, numbered from 1.
    pub fn instances(&self) -> impl Iterator<Item = PlannedInstance<'_>> {
        let replicas = usize::from(self.replicas.get());
        let unversioned = self.versions.is_empty().then_some(None);
        let labels = self.versions.iter().map(|version| Some(version.label.as_str()));
        labels
            .chain(unversioned)
            .flat_map(move |label| std::iter::repeat_n(label, replicas))
            .enumerate()
            .map(|(index, version)| PlannedInstance {
                id: format!("{}-{}", self.name, index + 1),
                version,
            })
    }
}
