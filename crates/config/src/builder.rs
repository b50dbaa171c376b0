//! Gathers the layers of a configuration.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::environment::Environment;
use crate::value::{Data, Value};
use crate::{Config, Origin, Problem, Problems};

/// Largest file: far above any configuration, so that a device or a wrong path ends in an error.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Whether a file must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Its absence is a problem.
    Required,
    /// Its absence is an empty file; anything else that keeps it from being read is a problem.
    Optional,
}

/// Where a layer comes from, to read it again.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    File { path: PathBuf, presence: Presence },
    Text { name: Arc<str>, text: Arc<str> },
}

/// Gathers layers, lowest first; see [`Config::builder`].
#[derive(Default)]
#[must_use]
pub struct Builder {
    sources: Vec<Source>,
    files: Vec<Value>,
    environment: Environment,
    path: Option<Arc<str>>,
    problems: Vec<Problem>,
}

impl Builder {
    /// Adds a YAML file, above the files added before.
    pub fn file(mut self, path: impl AsRef<Path>, presence: Presence) -> Self {
        let path = path.as_ref();
        self.sources.push(Source::File { path: path.to_owned(), presence });
        let name: Arc<str> = path.display().to_string().into();
        match read(path) {
            Ok(Some(text)) => self.parse(&name, &text),
            Ok(None) if presence == Presence::Optional => {}
            Ok(None) => self.problems.push(Problem::source(
                None,
                format!(
                    "configuration file `{name}` does not exist; create it or correct the path (CONFIG_PATH)"
                ),
            )),
            Err(message) => {
                let message = format!("configuration file `{name}` {message}");
                self.problems.push(Problem::source(None, message));
            }
        }
        self.path = Some(name);
        self
    }

    /// Adds YAML text under the name that origins shall show.
    pub fn yaml(mut self, name: &str, text: &str) -> Self {
        let name: Arc<str> = name.into();
        self.parse(&name, text);
        self.sources.push(Source::Text { name: name.clone(), text: text.into() });
        self.path = Some(name);
        self
    }

    fn parse(&mut self, path: &Arc<str>, text: &str) {
        let origin = |mark: regatta_yaml::Mark| Origin::File {
            path: path.clone(),
            line: mark.line,
            column: mark.column,
        };
        match regatta_yaml::parse(text) {
            Ok(node) => {
                let value = Value::from_file(&node, path);
                match value.data {
                    Data::Map(_) => self.files.push(value),
                    Data::Null => {}
                    _ => self.problems.push(Problem::source(
                        Some(value.origin.clone()),
                        format!(
                            "expected a map, found {}; write `key: value` lines",
                            value.found()
                        ),
                    )),
                }
            }
            Err(problems) => self.problems.extend(
                problems.into_iter().map(|p| Problem::source(Some(origin(p.mark)), p.message)),
            ),
        }
    }

    /// The same sources again, as they are now.
    pub(crate) fn again(sources: &[Source], environment: Environment) -> Self {
        let builder = Self { environment, ..Self::default() };
        sources.iter().fold(builder, |builder, source| match source {
            Source::File { path, presence } => builder.file(path, *presence),
            Source::Text { name, text } => builder.yaml(name, text),
        })
    }

    /// Sets the environment variables, which lie above all files.
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment = Environment::new(variables);
        self
    }

    /// Makes the configuration.
    ///
    /// # Errors
    ///
    /// Every file that cannot be read or is not YAML, with the line where that shows.
    pub fn build(self) -> Result<Config, Problems> {
        Problems::check(self.problems)?;
        Ok(Config::new(self.sources, self.files, self.environment, self.path))
    }
}

impl fmt::Debug for Builder {
    /// Names the sources; values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The text of a file; none when there is no such file.
fn read(path: &Path) -> Result<Option<String>, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot_be_read(&error)),
    };
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err("is a directory; name the file inside it".to_owned());
    }
    let mut bytes = Vec::new();
    match file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > MAX_FILE_BYTES => {
            Err("is over 4 MiB; is it a configuration file?".to_owned())
        }
        Ok(_) => String::from_utf8(bytes).map(Some).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|b| **b == b'\n').count();
            format!("is not UTF-8 in line {line}; save it as UTF-8")
        }),
        Err(error) => Err(cannot_be_read(&error)),
    }
}

fn cannot_be_read(error: &std::io::Error) -> String {
    format!("cannot be read: {error}; check its path and permissions")
}
