//! Which system a verb is about: its manifest, its folder.

use std::path::{Path, PathBuf};

use clap::Args;
use regatta_discovery_consul::{ConsulRegistry, Options};
use regatta_manifest::Manifest;
use regatta_supervisor::{Layout, Plan, Registry, Settings, State};

use crate::failure::Failure;

/// The name of a manifest.
const MANIFEST: &str = "regatta.yaml";

/// Where the system is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// The manifest. Default: regatta.yaml here or in the nearest folder above.
    #[arg(long, global = true, value_name = "PATH", env = "REGATTA_MANIFEST")]
    manifest: Option<PathBuf>,
    /// Where the running system keeps data, logs and state. Default: .regatta beside the manifest.
    #[arg(long, global = true, value_name = "PATH", env = "REGATTA_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

impl Place {
    /// The manifest's absolute path; the file need not be valid.
    pub(crate) fn manifest_path(&self) -> Result<PathBuf, Failure> {
        let here = std::env::current_dir()?;
        let given = match &self.manifest {
            Some(path) if path.is_dir() => path.join(MANIFEST),
            Some(path) => path.clone(),
            None => find_above(&here).ok_or_else(|| {
                Failure::usage(format!(
                    "there is no {MANIFEST} in `{}` or above; go to the folder that has it, or \
                     name it with --manifest PATH",
                    here.display()
                ))
            })?,
        };
        if !given.is_file() {
            let path = given.display();
            let text = format!("there is no manifest `{path}`; name one with --manifest PATH");
            return Err(Failure::usage(text));
        }
        Ok(std::fs::canonicalize(given)?)
    }

    /// The folder of the running system.
    pub(crate) fn layout(&self) -> Result<Layout, Failure> {
        Ok(match &self.data_dir {
            Some(folder) => Layout::at(std::path::absolute(folder)?),
            None => Layout::beside(&self.manifest_path()?),
        })
    }

    /// The manifest.
    pub(crate) fn manifest(&self) -> Result<(PathBuf, Manifest), Failure> {
        let path = self.manifest_path()?;
        let manifest = Manifest::load(&path)?;
        Ok((path, manifest))
    }

    /// The manifest, if one was named or is found.
    pub(crate) fn manifest_if_any(&self) -> Result<Option<(PathBuf, Manifest)>, Failure> {
        match (&self.manifest, find_above(&std::env::current_dir()?)) {
            (None, None) => Ok(None),
            _ => self.manifest().map(Some),
        }
    }

    /// [`Place::layout`], or `.regatta` in this folder where there is no manifest.
    pub(crate) fn layout_or_here(&self) -> Result<Layout, Failure> {
        match self.manifest_if_any()? {
            None if self.data_dir.is_none() => Ok(Layout::at(std::path::absolute(".regatta")?)),
            _ => self.layout(),
        }
    }

    /// What a supervisor needs to run the system.
    pub(crate) fn settings(&self, isolated: bool) -> Result<Settings, Failure> {
        let (path, manifest) = self.manifest()?;
        let plan = Plan::try_new(&manifest, &path, isolated)?;
        let mut settings = Settings::new(plan, std::env::current_exe()?);
        settings.layout = self.layout()?;
        let ca = settings.plan.registry_ca.clone();
        settings.registry = Some(Registry::new(move |url| {
            let own = |name: &str| match (name, &ca) {
                ("CONSUL_CACERT", Some(ca)) => Some(ca.display().to_string()),
                (name, _) => std::env::var(name).ok(),
            };
            let client = ConsulRegistry::try_new(url, Options::from_variables(own)?)?;
            Ok(std::sync::Arc::new(client))
        }));
        Ok(settings)
    }

    /// What runs, as its supervisor tells it; `None` when nothing does, or it builds still.
    pub(crate) fn state(&self) -> Result<Option<State>, Failure> {
        self.state_of(&self.layout()?)
    }

    /// What runs in a folder.
    pub(crate) fn state_of(&self, layout: &Layout) -> Result<Option<State>, Failure> {
        regatta_supervisor::running_state(layout).map_err(|error| {
            let text = format!("{}; run `regatta down`", regatta_core::Chain(&error));
            Failure::new(text)
        })
    }

    /// The options that were given, as they are to be typed again for the same system: none for one
    /// that is found by itself, or by a variable that stands in this shell.
    pub(crate) fn options(&self) -> String {
        let given = |option: &str, variable: &str, path: &Option<PathBuf>| {
            let typed = path.as_ref().filter(|_| std::env::var_os(variable).is_none())?;
            Some(format!(" {option} {}", quoted(&typed.display().to_string())))
        };
        [
            given("--manifest", "REGATTA_MANIFEST", &self.manifest),
            given("--data-dir", "REGATTA_DATA_DIR", &self.data_dir),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The options that lead another process to the same system.
    pub(crate) fn arguments(&self) -> Result<Vec<PathBuf>, Failure> {
        let data = self.layout()?.root().to_owned();
        Ok(vec!["--manifest".into(), self.manifest_path()?, "--data-dir".into(), data])
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
impl Place {
    /// The system of this manifest.
    pub(crate) fn at(manifest: PathBuf) -> Self {
        Self { manifest: Some(manifest), data_dir: None }
    }
}

fn find_above(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join(MANIFEST)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_repeated_as_they_were_typed() {
        let none = Place { manifest: None, data_dir: None };
        assert_eq!(none.options(), "");
        let both = Place { manifest: Some("shop/a b.yaml".into()), data_dir: Some("/d".into()) };
        assert_eq!(both.options(), " --manifest 'shop/a b.yaml' --data-dir /d");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }

    #[test]
    fn the_nearest_manifest_above_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("services/user/src");
        std::fs::create_dir_all(&deep).unwrap();
        let outer = folder.path().join(MANIFEST);
        std::fs::write(&outer, "").unwrap();
        assert_eq!(find_above(&deep), Some(outer));
        let inner = folder.path().join("services").join(MANIFEST);
        std::fs::write(&inner, "").unwrap();
        assert_eq!(find_above(&deep), Some(inner));
    }
}
