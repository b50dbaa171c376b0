//! `regatta control`: the control plane, and what its operator does.

mod hash;
mod serve;
mod transfer;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::output::Format;
use crate::system::Place;

/// Runs the control plane: the service registry in Consul's HTTP API and DNS, keys and values in
/// etcd's API.
///
/// What is not given here comes from the manifest, if there is one.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Control {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    serve: serve::Serve,
}

/// What an operator does.
#[derive(Debug, Subcommand)]
enum Action {
    Hash(hash::Hash),
    Export(transfer::Export),
    Import(transfer::Import),
}

impl Control {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        match self.action {
            None => self.serve.run(place).await,
            Some(Action::Hash(hash)) => hash.run(format),
            Some(Action::Export(export)) => export.run(place, format).await,
            Some(Action::Import(import)) => import.run(place, format).await,
        }
    }
}
