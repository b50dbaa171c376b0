//! The cargo workspace a new service joins.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// What `new` needs to know of the workspace's Cargo.toml.
///
/// Read line by line: the few lines that matter are written in one way everywhere, and where they
/// are not, the service is written all the same and its author is told what to add.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Workspace {
    members: Vec<String>,
    has_regatta: bool,
}

impl Workspace {
    /// The workspace whose root is this folder, if it is one.
    pub(super) fn at(folder: &Path) -> Result<Option<Self>, Failure> {
        let path = folder.join("Cargo.toml");
        if !path.is_file() {
            return Ok(None);
        }
        Ok(Self::parse(&std::fs::read_to_string(path)?))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut section = "";
        let mut found = None;
        let mut in_members = false;
        for line in text.lines().map(str::trim) {
            let head = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            section = head.filter(|_| !in_members).unwrap_or(section);
            if section == "workspace" || section.starts_with("workspace.") {
                found.get_or_insert(Self { members: Vec::new(), has_regatta: false });
            }
            let Some(workspace) = &mut found else { continue };
            in_members |= section == "workspace" && line.starts_with("members");
            if in_members {
                let quoted = line.split('#').next().unwrap_or_default().split('"');
                workspace.members.extend(quoted.skip(1).step_by(2).map(str::to_owned));
                in_members = !line.contains(']');
            }
            let is_regatta = line.starts_with("regatta ") || line.starts_with("regatta=");
            workspace.has_regatta |= section == "workspace.dependencies" && is_regatta;
        }
        found
    }

    /// Whether the workspace says where the crate `regatta` is.
    pub(super) fn has_regatta(&self) -> bool {
        self.has_regatta
    }

    /// Where a new service goes.
    pub(super) fn folder_for(&self, name: &str) -> PathBuf {
        let services = self.members.iter().any(|member| member == "services/*");
        if services { Path::new("services").join(name) } else { name.into() }
    }

    /// Whether the folder is a member already.
    pub(super) fn covers(&self, base: &Path, folder: &Path) -> bool {
        let Ok(relative) = folder.strip_prefix(base) else { return false };
        let is = |member: &String| match member.strip_suffix("/*") {
            Some(parent) => relative.parent() == Some(Path::new(parent)),
            None => relative == Path::new(member),
        };
        self.members.iter().any(is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = r#"
[workspace]
members = [
    "crates/*", # ours
    "services/*",
]
[workspace.dependencies]
regatta-core = { path = "crates/core" }
regatta = { path = "crates/service" }
"#;

    #[test]
    fn services_go_where_services_are() {
        let workspace = Workspace::parse(ROOT).unwrap();
        assert_eq!(workspace.members, ["crates/*", "services/*"]);
        assert!(workspace.has_regatta());
        assert_eq!(workspace.folder_for("a"), Path::new("services/a"));
        assert!(workspace.covers(Path::new("/w"), Path::new("/w/services/a")));
        assert!(!workspace.covers(Path::new("/w"), Path::new("/w/a")));
        assert!(!workspace.covers(Path::new("/w"), Path::new("/elsewhere/services/a")));
    }

    #[test]
    fn a_crate_of_a_similar_name_is_not_the_chassis() {
        let text = ROOT.replace("regatta = {", "regatta-x = {");
        assert!(!Workspace::parse(&text).unwrap().has_regatta());
    }

    #[test]
    fn a_package_alone_is_no_workspace() {
        assert_eq!(Workspace::parse("[package]\nname = \"a\"\n"), None);
    }

    #[test]
    fn members_on_one_line_are_read() {
        let workspace = Workspace::parse("[workspace]\nmembers = [\"a\", \"b\"]\n").unwrap();
        assert_eq!(workspace.members, ["a", "b"]);
        assert_eq!(workspace.folder_for("c"), Path::new("c"));
    }
}
