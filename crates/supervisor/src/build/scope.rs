//! Which packages and programs one run of cargo is told to build.

use std::collections::BTreeSet;

use serde::Deserialize;

/// What `cargo metadata --no-deps` tells of a workspace, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Workspace {
    packages: Vec<Package>,
    #[serde(default)]
    workspace_default_members: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// The packages whose features cargo resolves together, and the programs it builds of them; no
/// programs stands for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) packages: BTreeSet<String>,
    pub(super) programs: BTreeSet<String>,
}

impl Scope {
    /// These packages and nothing else.
    pub(super) fn only(wanted: &BTreeSet<String>) -> Self {
        Self { packages: wanted.clone(), programs: BTreeSet::new() }
    }

    /// The programs of the wanted packages, resolved with all default members of the workspace when
    /// the wanted are among them.
    ///
    /// Cargo gives a dependency the features that the selected packages ask for; another selection
    /// is another set of features, and hundreds of crates are compiled once more. Whoever types
    /// `cargo run` or `cargo build` selects the default members, so this does too.
    pub(super) fn of(workspace: &Workspace, wanted: &BTreeSet<String>) -> Self {
        let is_default =
            |package: &&Package| workspace.workspace_default_members.contains(&package.id);
        let defaults: Vec<&Package> = workspace.packages.iter().filter(is_default).collect();
        let names: BTreeSet<String> = defaults.iter().map(|package| package.name.clone()).collect();
        let programs = |package: &Package| -> Vec<String> {
            let is_program = |target: &&Target| target.kind.iter().any(|kind| kind == "bin");
            package.targets.iter().filter(is_program).map(|target| target.name.clone()).collect()
        };
        let wanted_programs: Vec<Vec<String>> = defaults
            .iter()
            .filter(|package| wanted.contains(&package.name))
            .map(|package| programs(package))
            .collect();
        // A package without a program is an error that cargo's own answer makes plain.
        if !wanted.is_subset(&names) || wanted_programs.iter().any(Vec::is_empty) {
            return Self::only(wanted);
        }
        Self { packages: names, programs: wanted_programs.into_iter().flatten().collect() }
    }

    /// The options of `cargo build`.
    pub(super) fn arguments(&self) -> impl Iterator<Item = String> {
        let option = |name: &'static str| move |value: &String| [name.to_owned(), value.clone()];
        let packages = self.packages.iter().flat_map(option("--package"));
        packages.chain(self.programs.iter().flat_map(option("--bin")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = r#"{
        "packages": [
            { "id": "cli#1", "name": "cli", "targets": [{ "name": "tool", "kind": ["bin"] }] },
            { "id": "user#1", "name": "user", "targets": [
                { "name": "user", "kind": ["lib"] }, { "name": "user", "kind": ["bin"] },
                { "name": "it", "kind": ["test"] } ] },
            { "id": "none#1", "name": "none", "targets": [{ "name": "none", "kind": ["lib"] }] },
            { "id": "other#1", "name": "other", "targets": [{ "name": "other", "kind": ["bin"] }] }
        ],
        "workspace_default_members": ["cli#1", "user#1", "none#1"]
    }"#;

    #[test]
    fn default_members_are_resolved_together_and_only_what_is_wanted_is_built() {
        let expected = ["--package", "cli", "--package", "none", "--package", "user"];
        let arguments: Vec<_> = scope(&["user"]).arguments().collect();
        assert_eq!(arguments, [&expected[..], &["--bin", "user"]].concat());
    }

    #[test]
    fn a_package_that_is_no_default_member_is_built_as_asked() {
        assert_eq!(scope(&["user", "other"]), Scope::only(&names(&["user", "other"])));
        assert_eq!(scope(&["nobody"]), Scope::only(&names(&["nobody"])));
    }

    #[test]
    fn a_package_without_a_program_does_not_build_those_of_others() {
        assert_eq!(scope(&["none"]), Scope::only(&names(&["none"])));
        assert_eq!(scope(&["none", "user"]), Scope::only(&names(&["none", "user"])));
    }

    #[test]
    fn a_cargo_that_tells_no_default_members_is_no_error() {
        let workspace = serde_json::from_str(r#"{ "packages": [] }"#).unwrap();
        assert_eq!(Scope::of(&workspace, &names(&["user"])), Scope::only(&names(&["user"])));
    }

    fn scope(wanted: &[&str]) -> Scope {
        Scope::of(&serde_json::from_str(WORKSPACE).unwrap(), &names(wanted))
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}
