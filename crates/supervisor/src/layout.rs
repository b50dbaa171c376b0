//! Where a running system keeps its files: `.regatta/` beside the manifest.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The folder `.regatta` of one manifest and the places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The folder beside this manifest.
    pub fn beside(manifest: &Path) -> Self {
        let folder = manifest.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self { root: folder.unwrap_or(Path::new(".")).join(".regatta") }
    }

    /// Another folder in its place; an absolute path, because parts are told of places in it.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What runs, as of the last change.
    pub fn state_file(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// Held while a supervisor runs; holds its pid.
    pub fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The log of a part, or of the supervisor under the name `supervisor`.
    pub fn log_file(&self, part: &str) -> PathBuf {
        self.root.join("logs").join(format!("{part}.log"))
    }

    /// What a service or the control plane keeps.
    pub fn data(&self, service: &str) -> PathBuf {
        self.root.join("data").join(service)
    }

    /// The SQLite file of a service, shared by its replicas.
    pub fn database_file(&self, service: &str) -> PathBuf {
        self.data(service).join(format!("{service}.db"))
    }

    /// The SQLite file of the event bus, shared by all services.
    pub fn events_file(&self) -> PathBuf {
        self.data("events").join("events.db")
    }

    /// The secret that signs development tokens.
    pub fn secret_file(&self) -> PathBuf {
        self.root.join("secrets").join("jwt-hs256")
    }

    /// Makes the folders; only the owner may look into them.
    ///
    /// # Errors
    ///
    /// That of the file system.
    pub fn create(&self) -> io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for folder in ["logs", "data", "secrets"] {
            builder.create(self.root.join(folder))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_beside_the_manifest() {
        let layout = Layout::beside(Path::new("/shop/regatta.yaml"));
        assert_eq!(layout.root(), Path::new("/shop/.regatta"));
        let file = layout.database_file("user-service");
        assert_eq!(file, Path::new("/shop/.regatta/data/user-service/user-service.db"));
    }

    #[test]
    fn a_bare_file_name_is_in_this_folder() {
        let layout = Layout::beside(Path::new("regatta.yaml"));
        assert_eq!(layout.root(), Path::new("./.regatta"));
    }
}
