//! `regatta new`: writes a service that compiles, runs under `up` and has tests.

mod manifest;
mod name;
mod steps;
mod template;
mod workspace;

use std::path::{Path, PathBuf};

use clap::Args;
use regatta_core::ServiceName;
use regatta_manifest::Manifest;
use serde_json::json;

use self::steps::Steps;
use self::template::Words;
use self::workspace::Workspace;
use crate::failure::Failure;
use crate::output::{Format, out};
use crate::system::Place;

/// The chassis of the checkout this program was built from.
const CHASSIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../service");

/// Writes a new service, and adds it to the manifest.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// Its name, such as payments-api.
    #[arg(value_name = "NAME")]
    name: ServiceName,
    /// Where it goes. Default: services/NAME in a workspace that has such members, else NAME here.
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
    /// The folder of the crate `regatta`. Default: as the workspace has it, else the checkout this
    /// program was built from.
    #[arg(long, value_name = "FOLDER")]
    regatta: Option<PathBuf>,
    /// Leave the manifest as it is.
    #[arg(long)]
    no_manifest: bool,
}

impl New {
    pub(crate) fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let name = self.name.as_str();
        if let Some(refusal) = name::refusal(name) {
            return Err(Failure::usage(refusal));
        }
        let manifest = place.manifest_path().ok();
        let here = std::env::current_dir()?;
        let base = manifest.as_deref().and_then(Path::parent).unwrap_or(&here).to_owned();
        let workspace = Workspace::at(&base)?;
        let folder = match (&self.path, &workspace) {
            (Some(path), _) => std::path::absolute(path)?,
            (None, Some(workspace)) => base.join(workspace.folder_for(name)),
            (None, None) => base.join(name),
        };
        refuse_to_overwrite(&folder)?;
        // Checked before anything is written, so that a refusal leaves nothing behind.
        let manifest = manifest.filter(|_| !self.no_manifest);
        let text =
            manifest.as_deref().map(|path| manifest::with_service(path, name)).transpose()?;
        let words = Words {
            name,
            regatta: self.regatta_dependency(workspace.as_ref())?,
            in_workspace: workspace.is_some(),
        };
        template::write(&folder, &words)?;
        let manifest = match (manifest, text) {
            (Some(path), Some(text)) => {
                std::fs::write(&path, text)?;
                Some(path)
            }
            (None, _) if !self.no_manifest => Some(first_manifest(&base, &folder, name)?),
            _ => None,
        };
        let covered = workspace.as_ref().is_none_or(|workspace| workspace.covers(&base, &folder));
        self.tell(format, &folder, manifest.as_deref(), covered);
        Ok(())
    }

    /// The right-hand side of `regatta = ` in the new Cargo.toml.
    fn regatta_dependency(&self, workspace: Option<&Workspace>) -> Result<String, Failure> {
        if self.regatta.is_none() && workspace.is_some_and(Workspace::has_regatta) {
            return Ok("{ workspace = true }".to_owned());
        }
        let path = self.regatta.clone().unwrap_or_else(|| CHASSIS.into());
        if !path.join("Cargo.toml").is_file() {
            return Err(Failure::usage(format!(
                "there is no crate `regatta` in `{}`; name its folder with --regatta",
                path.display()
            )));
        }
        let path = std::fs::canonicalize(path)?;
        Ok(format!("{{ path = {:?} }}", path.display().to_string()))
    }

    fn tell(&self, format: Format, folder: &Path, manifest: Option<&Path>, covered: bool) {
        let name = &self.name;
        if format == Format::Json {
            let value = json!({ "name": name.as_str(), "folder": folder, "manifest": manifest,
                "member": covered });
            return out(&value.to_string());
        }
        out(&format!("wrote {}", folder.display()));
        if let Some(manifest) = manifest {
            out(&format!("added {name} to {}", manifest.display()));
        }
        if !covered {
            out(&format!("add it to `members` of the workspace: {}", folder.display()));
        }
        out("next:");
        let here = std::env::current_dir().unwrap_or_default();
        let read = manifest.and_then(|path| Some((path, Manifest::load(path).ok()?)));
        let steps = Steps {
            name: name.as_str(),
            folder,
            manifest: read.as_ref().map(|(path, read)| (*path, read)),
            here: &here,
            program: &steps::program(),
        };
        steps.lines().iter().for_each(|line| out(&format!("  {line}")));
    }
}

fn refuse_to_overwrite(folder: &Path) -> Result<(), Failure> {
    let is_empty = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if folder.exists() && !is_empty {
        let path = folder.display();
        let text = format!("`{path}` exists; choose another name, or another place with --path");
        return Err(Failure::usage(text));
    }
    Ok(())
}

/// A manifest where there was none: beside the workspace, or in the crate that is its own.
fn first_manifest(base: &Path, folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let place = if base.join("Cargo.toml").is_file() { base } else { folder };
    let path = place.join("regatta.yaml");
    std::fs::write(&path, manifest::first(name))?;
    Ok(path)
}
