//! What a group of settings says of itself.

/// What a group of settings says of itself: for checking, for help, for the file of defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Schema {
    /// The dotted key of the group, such as `server`.
    pub group: String,
    /// The lines of its documentation.
    pub docs: Vec<String>,
    /// Its settings in the order of the struct.
    pub keys: Vec<Key>,
}

/// What one setting says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// The whole dotted key, such as `server.port`.
    pub name: String,
    /// The lines of its documentation.
    pub docs: Vec<String>,
    /// Its type in words.
    pub kind: String,
    /// Its default as YAML; none when there is no value by default.
    pub default: Option<String>,
    /// Whether some layer must set it.
    pub required: bool,
    /// Whether values are shown as `***`.
    pub secret: bool,
    /// Further environment variables, the strongest first.
    pub environment: Vec<&'static str>,
    /// The allowed values in words.
    pub range: Option<String>,
}

impl Schema {
    /// The schema of a group; called by [`crate::settings!`].
    pub fn new(group: &str, docs: &[&str], keys: Vec<Key>) -> Self {
        let docs = docs.iter().map(|line| line.trim().to_owned()).collect();
        Self { group: group.to_owned(), docs, keys }
    }

    /// The group as a commented piece of a configuration file; see [`crate::default_file`].
    pub fn to_yaml(&self) -> String {
        crate::default_file(std::slice::from_ref(self))
    }
}

impl Key {
    /// The environment variables that set it, the strongest first: `SERVER__PORT`, `PORT`.
    pub fn variables(&self) -> Vec<String> {
        let path: Vec<_> = self.name.split('.').collect();
        let own = crate::environment::variable(&path);
        let aliases = self.environment.iter().map(|alias| (*alias).to_owned());
        std::iter::once(own).chain(aliases).collect()
    }
}
