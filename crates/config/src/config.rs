//! A configuration: layers, lowest first.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::builder::Source;
use crate::center_layer::{CenterLayer, Tree};
use crate::environment::Environment;
use crate::unknown::Others;
use crate::value::Value;
use crate::{
    Builder, DatabaseSettings, Groups, Origin, Presence, Problems, Reader, RedisSettings, Setting,
};
use regatta_core::Secret;

/// The file that is read when `CONFIG_PATH` is not set; it may be absent.
pub const DEFAULT_PATH: &str = "/etc/app/config.yaml";

/// A configuration; cheap to clone, never changes: [`Config::reread`] makes another one.
#[derive(Clone)]
pub struct Config {
    inner: Arc<Inner>,
}

struct Inner {
    sources: Vec<Source>,
    /// Trees, lowest first.
    files: Vec<Value>,
    environment: Environment,
    /// Above all others.
    center: CenterLayer,
    path: Option<Arc<str>>,
}

impl Config {
    /// Starts with no layer at all.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Reads the file at `CONFIG_PATH` and the environment of this process.
    ///
    /// Without `CONFIG_PATH` the file is [`DEFAULT_PATH`], and its absence is no problem. Variables
    /// that are not UTF-8 are taken with replacement characters.
    ///
    /// # Errors
    ///
    /// The file is missing although named, cannot be read, or is not YAML.
    pub fn from_environment() -> Result<Self, Problems> {
        let variables = std::env::vars_os().map(|(name, text)| {
            (name.to_string_lossy().into_owned(), text.to_string_lossy().into_owned())
        });
        Self::from_variables(variables)
    }

    /// Like [`Config::from_environment`], from given variables.
    ///
    /// # Errors
    ///
    /// As [`Config::from_environment`].
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let variables: Vec<_> = variables.into_iter().collect();
        let named = variables.iter().find(|(name, path)| name == "CONFIG_PATH" && !path.is_empty());
        let builder = match named {
            Some((_, path)) => Self::builder().file(path, Presence::Required),
            None => Self::builder().file(DEFAULT_PATH, Presence::Optional),
        };
        builder.environment(variables).build()
    }

    pub(crate) fn new(
        sources: Vec<Source>,
        files: Vec<Value>,
        environment: Environment,
        path: Option<Arc<str>>,
    ) -> Self {
        let center = CenterLayer::default();
        Self { inner: Arc::new(Inner { sources, files, environment, center, path }) }
    }

    /// The same with these settings of a config center above all other layers, in place of those it
    /// had.
    #[must_use]
    pub fn with_center(&self, center: CenterLayer) -> Self {
        let inner = &self.inner;
        Self {
            inner: Arc::new(Inner {
                sources: inner.sources.clone(),
                files: inner.files.clone(),
                environment: inner.environment.clone(),
                center,
                path: inner.path.clone(),
            }),
        }
    }

    /// Reads the files again, as they are now, under the same environment and config center.
    ///
    /// # Errors
    ///
    /// As [`Config::from_environment`].
    pub fn reread(&self) -> Result<Self, Problems> {
        let again = Builder::again(&self.inner.sources, self.inner.environment.clone()).build()?;
        Ok(again.with_center(self.inner.center.clone()))
    }

    /// The files it was read from, also those that may be absent and are; lowest layer first.
    pub fn file_paths(&self) -> impl Iterator<Item = &Path> {
        self.inner.sources.iter().filter_map(|source| match source {
            Source::File { path, .. } => Some(path.as_path()),
            Source::Text { .. } => None,
        })
    }

    /// The environment variables it was given, those that are not empty.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.inner.environment.variables()
    }

    /// The setting at a dotted key, such as `database.host`; none when no layer has it.
    ///
    /// # Errors
    ///
    /// The value that is there is not a `T`.
    pub fn get<T: Setting>(&self, key: &str) -> Result<Option<T>, Problems> {
        let Some(value) = self.value(key, &[]) else { return Ok(None) };
        match T::read(&value) {
            Ok(setting) => Ok(Some(setting)),
            Err(problems) => {
                let secret = T::SECRET || crate::redact::is_secret_name(key);
                let problems = problems.into_iter().map(|p| p.under(key));
                let kind = secret.then(T::kind);
                let shown = problems.map(|p| crate::redact::problem(p, kind.as_deref()));
                Problems::check(shown.collect()).map(|()| None)
            }
        }
    }

    /// The setting at a dotted key, or the default.
    ///
    /// # Errors
    ///
    /// The value that is there is not a `T`; the default does not hide it.
    pub fn get_or<T: Setting>(&self, key: &str, default: T) -> Result<T, Problems> {
        Ok(self.get(key)?.unwrap_or(default))
    }

    /// Where the value at a dotted key came from; none when no layer has it.
    pub fn origin(&self, key: &str) -> Option<Origin> {
        self.value(key, &[]).map(|value| value.origin)
    }

    /// Reads one or several groups of settings: a type made by [`crate::settings!`] or a tuple.
    ///
    /// # Errors
    ///
    /// All problems at once: unknown keys anywhere in the file, unknown nested variables of known
    /// groups, wrong types, values out of range, missing required settings, and what may not come
    /// from the config center.
    pub fn load<G: Groups>(&self) -> Result<G, Problems> {
        self.read(Others::Refused)
    }

    /// Like [`Config::load`], but top-level keys of the file that no group knows are left to
    /// [`Config::get`], unless one looks like a misspelt group.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load_open<G: Groups>(&self) -> Result<G, Problems> {
        self.read(Others::Allowed)
    }

    /// Reads one or several groups and looks at no other key: for what has to be known before
    /// everything else is read.
    ///
    /// # Errors
    ///
    /// What is wrong with these groups.
    pub fn group<G: Groups>(&self) -> Result<G, Problems> {
        let mut reader = Reader::new(self);
        let group = G::read(&mut reader);
        Problems::check(reader.into_problems())?;
        Ok(group)
    }

    fn read<G: Groups>(&self, others: Others) -> Result<G, Problems> {
        let mut reader = Reader::new(self);
        let groups = G::read(&mut reader);
        let mut problems = reader.into_problems();
        problems.extend_from_slice(self.inner.center.problems());
        let mut schemas = Vec::new();
        G::schemas(&mut schemas);
        crate::unknown::report(self, &schemas, others, &mut problems);
        Problems::check(problems)?;
        Ok(groups)
    }

    /// The database's URL: `database.url` or `DATABASE_URL`, else made of `database.host`, `.port`,
    /// `.name`, `.user` and `.password` (localhost, 5432, app, postgres, none).
    ///
    /// # Errors
    ///
    /// One of these settings has the wrong type.
    pub fn database_url(&self) -> Result<Secret, Problems> {
        let mut reader = Reader::new(self);
        let settings = <DatabaseSettings as Groups>::read(&mut reader);
        Problems::check(reader.into_problems())?;
        Ok(settings.to_url())
    }

    /// Redis's URL: `redis.url` or `REDIS_URL`, else made of `redis.host` and `.port` (localhost,
    /// 6379).
    ///
    /// # Errors
    ///
    /// One of these settings has the wrong type.
    pub fn redis_url(&self) -> Result<Secret, Problems> {
        let mut reader = Reader::new(self);
        let settings = <RedisSettings as Groups>::read(&mut reader);
        Problems::check(reader.into_problems())?;
        Ok(settings.to_url())
    }

    /// The value at a dotted key with all layers laid over one another.
    pub(crate) fn value(&self, key: &str, aliases: &[&str]) -> Option<Value> {
        let path: Vec<&str> = key.split('.').collect();
        let files = self.inner.files.iter().filter_map(|tree| tree.at(&path).cloned());
        let environment = self.inner.environment.value(&path, aliases);
        let center = self.center().iter().filter_map(|tree| tree.value.at(&path).cloned());
        files.chain(environment).chain(center).reduce(|mut below, above| {
            below.overlay(above);
            below
        })
    }

    pub(crate) fn files(&self) -> &[Value] {
        &self.inner.files
    }

    pub(crate) fn center(&self) -> &[Tree] {
        self.inner.center.trees()
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.inner.environment
    }

    /// The file to name where a setting could be written.
    pub(crate) fn path(&self) -> &str {
        self.inner.path.as_deref().unwrap_or(DEFAULT_PATH)
    }
}

impl fmt::Debug for Config {
    /// Names the sources; values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("path", &self.path()).finish_non_exhaustive()
    }
}
