//! `regatta backup` and `regatta restore`: everything that the control plane holds, as one file.

use std::path::PathBuf;

use clap::Args;
use regatta_control_plane::Secret;
use regatta_control_plane::backup::{Backup as Request, restore};
use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::output::{Format, out};
use crate::system::Place;
use crate::verbs::tls::Tls;

/// Makes a file of everything that the running control plane holds: keys with their history, the
/// registry. It goes on meanwhile.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to make; it must not exist.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where Consul's API of the control plane is. Default: this system's.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// A token that may do everything; needed with access control.
    #[arg(long, env = "CONSUL_HTTP_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    #[command(flatten)]
    tls: Tls,
}

/// Makes a control plane's folder from a backup; one that holds something is refused.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder, as `regatta control --store` takes it. Default: data/control-plane in the
    /// system's .regatta.
    #[arg(long = "store", value_name = "PATH")]
    store: Option<PathBuf>,
}

impl Backup {
    pub(crate) async fn run(mut self, place: &Place, format: Format) -> Result<(), Failure> {
        let url = match self.from {
            Some(url) => url,
            None => {
                let own = ControlPlane::of(place)?;
                self.tls.ca = self.tls.ca.or(own.ca);
                own.consul
            }
        };
        let mut request = Request::new(url, &self.file);
        request.token = self.token.map(Secret::new);
        request.tls = self.tls.into();
        let made = request.run().await?;
        match format {
            Format::Json => {
                out(&json!({ "file": self.file, "bytes": made.bytes }).to_string());
            }
            Format::Text => out(&format!("{} bytes in {}", made.bytes, self.file.display())),
        }
        Ok(())
    }
}

impl Restore {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let folder = match self.store {
            Some(store) => store,
            None => place.layout_or_here()?.data("control-plane"),
        };
        let (file, to) = (self.file, folder.clone());
        let restored = tokio::task::spawn_blocking(move || restore(&file, &to)).await;
        let bytes = match restored {
            Ok(restored) => restored?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        match format {
            Format::Json => out(&json!({ "folder": folder, "bytes": bytes }).to_string()),
            Format::Text => {
                let folder = folder.display();
                out(&format!(
                    "{bytes} bytes restored to {folder}; start it with `regatta control --store {folder}`"
                ));
            }
        }
        Ok(())
    }
}
