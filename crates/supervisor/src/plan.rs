//! Which processes make the system that a manifest describes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::part::{Part, Run};

/// The processes of one system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The system's name.
    pub name: String,
    /// The manifest, as an absolute path.
    pub manifest: PathBuf,
    /// Stands in development tokens as `iss`.
    pub issuer: Option<String>,
    /// Whether all ports are free ones.
    pub isolated: bool,
    /// All processes.
    pub parts: Vec<Part>,
}

/// The manifest cannot run on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A service runs from a container image.
    #[error(
        "service `{service}` runs from image `{image}`, and `up` runs processes only; give it \
         run.cargo or run.command"
    )]
    Image {
        /// The service.
        service: String,
        /// The image.
        image: String,
    },
}

impl Plan {
    /// The cargo packages to be built.
    pub fn packages(&self) -> BTreeSet<String> {
        let package = |part: &Part| match &part.run {
            Run::Cargo { package } => Some(package.clone()),
            Run::Command { .. } | Run::Regatta { .. } => None,
        };
        self.parts.iter().filter_map(package).collect()
    }
}
