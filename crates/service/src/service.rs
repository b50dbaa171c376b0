//! The service as its author assembles it.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::response::IntoResponse;
use regatta_client::{Channel, Client, ServiceClient};
use regatta_config::{Config, Groups};
use regatta_core::ServiceName;
use regatta_telemetry::{Identity, Telemetry};
use regatta_traffic::clients::Counter;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use utoipa::openapi::OpenApi;

use crate::center::{Live, Opened};
use crate::health::Dependency;
use crate::limits;
use crate::registry::Registry;
use crate::reload::Source;
use crate::routes::Rest;
use crate::serve::Door;
use crate::settings::Settings;
use crate::signals::Signals;
use crate::tasks::Tasks;
use crate::{Builder, Error, Guard, Result, Server};

/// A service: what it needs is opened from its settings, what it offers is added, then it runs.
///
/// ```no_run
/// use regatta::axum::{Router, routing::get};
///
/// # async fn example() -> regatta::Result {
/// let service = regatta::Service::new("hello-service").await?;
/// let routes = Router::new().route("/hello", get(async || "hello"));
/// service.rest(routes).run().await
/// # }
/// ```
pub struct Service {
    pub(crate) name: ServiceName,
    pub(crate) version: Option<String>,
    pub(crate) source: Source,
    /// As of the start, with what the config center had then.
    config: Config,
    /// As it runs.
    pub(crate) live: Live,
    pub(crate) config_center: Option<Opened>,
    pub(crate) settings: Settings,
    /// Whether wrong settings end the process; see [`Service::new`].
    pub(crate) ends_process: bool,
    pub(crate) telemetry: Telemetry,
    pub(crate) registry: Registry,
    /// Whether the registry was given to the builder, as tests do.
    pub(crate) has_given_registry: bool,
    pub(crate) client: Client,
    pub(crate) door: Door,
    pub(crate) rate: Option<Counter>,
    pub(crate) tasks: Tasks,
    /// Opened once: all that guard routes share its keys.
    pub(crate) guard: Mutex<Option<Guard>>,
    /// Added to by what is opened through a shared reference.
    pub(crate) dependencies: Mutex<Vec<Dependency>>,
    /// Closed at the end.
    #[cfg(feature = "database")]
    pub(crate) databases: Mutex<Vec<regatta_database::Database>>,
    /// Opened when it is first asked for.
    #[cfg(feature = "cache")]
    pub(crate) cache: Mutex<Option<regatta_cache::CacheAside>>,
    /// Opened once, by the first who asks.
    #[cfg(feature = "events")]
    pub(crate) events: std::sync::OnceLock<crate::Events>,
    pub(crate) router: Router,
    pub(crate) document: OpenApi,
    pub(crate) grpc: RoutesBuilder,
    pub(crate) grpc_services: HashSet<String>,
    pub(crate) descriptors: Vec<&'static [u8]>,
}

impl Service {
    /// Opens a service of this name: reads its settings (file at `CONFIG_PATH`, environment),
    /// starts its telemetry, and finds its registry. Connects to nothing, so it needs nothing to
    /// be up. Call it inside a tokio runtime, once a process.
    ///
    /// Wrong settings, found here or later (by [`Service::auth`], say), end the process with exit
    /// code 2, all of them told on standard error, each with its place and remedy. To get them as
    /// an error, open the service by [`Service::builder`].
    ///
    /// # Errors
    ///
    /// [`Error`] when something else keeps it from starting; return it from `main`, which ends the
    /// process with exit code 1.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn new(name: &str) -> Result<Self> {
        Self::builder(name).ends_process().build().await
    }

    /// Opens a service that has settings of its own: a struct made by [`crate::settings!`], or a
    /// tuple of them. Unknown keys are refused, also at the top of the file.
    ///
    /// # Errors
    ///
    /// As [`Service::new`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn with_settings<S: Groups>(name: &str) -> Result<(Self, S)> {
        Self::builder(name).ends_process().build_with::<S>().await
    }

    /// Opens a service otherwise than from the environment, as tests do.
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    pub(crate) fn assemble(
        name: ServiceName,
        source: Source,
        config: Config,
        settings: Settings,
        registry: Option<Registry>,
        logs: bool,
    ) -> Result<Self> {
        let mut identity = Identity::new(name.as_str())
            .with_version(settings.service.version.as_deref().unwrap_or_default())
            .with_instance(settings.service.instance.as_deref().unwrap_or_default());
        let logs = logs.then_some(&settings.log);
        let options = settings.telemetry.options(logs, &config, &mut identity);
        let options = options.map_err(Error::TelemetryOption)?;
        let telemetry = Telemetry::init(identity, options).map_err(Error::Telemetry)?;
        let has_given_registry = registry.is_some();
        let registry = match registry {
            Some(registry) => registry,
            None => Registry::open(&settings.registry)?,
        };
        let policies = settings.client.policies(settings.service.zone.as_deref());
        let client = Client::try_new(registry.discover.clone(), policies);
        let client = client.map_err(Error::Client)?;
        let door = Door::try_new(settings.shed.concurrency()).map_err(Error::Shed)?;
        let (rate, reachable) = limits::open(&settings.limits, &settings.rate_limit, &name)?;
        let service = Self {
            name,
            version: None,
            source,
            live: Live::new(config.clone()),
            config,
            config_center: None,
            settings,
            ends_process: false,
            telemetry,
            registry,
            has_given_registry,
            client,
            door,
            rate,
            tasks: Tasks::default(),
            guard: Mutex::default(),
            dependencies: Mutex::default(),
            #[cfg(feature = "database")]
            databases: Mutex::default(),
            #[cfg(feature = "cache")]
            cache: Mutex::default(),
            #[cfg(feature = "events")]
            events: std::sync::OnceLock::new(),
            router: Router::new(),
            document: utoipa_axum::router::OpenApiRouter::<()>::new().into_openapi(),
            grpc: RoutesBuilder::default(),
            grpc_services: HashSet::new(),
            descriptors: Vec::new(),
        };
        if let Some(is_reachable) = reachable {
            service.depend(Dependency::new("limits", false, move || {
                let away = "the shared limits do not answer; see `limits.on_outage`";
                std::future::ready(if is_reachable() { Ok(()) } else { Err(away) })
            }));
        }
        Ok(service)
    }

    /// The name it was opened with.
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// Its configuration as of the start, for single values by their dotted key;
    /// [`Service::watch`] follows one.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the operator has set about the chassis itself.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its telemetry, for instruments of its own.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Background work that shutdown waits for.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// For HTTP calls to another service: discovered, balanced, bounded, repeated where that is
    /// safe, traced.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] when the text is not a service name. That there is no such service is an
    /// error of the call.
    pub fn client(&self, service: &str) -> Result<ServiceClient> {
        Ok(self.client.service(service)?)
    }

    /// For gRPC calls to another service: hand it to the client that tonic generated.
    ///
    /// # Errors
    ///
    /// As [`Service::client`].
    pub fn channel(&self, service: &str) -> Result<Channel> {
        Ok(self.client.channel(service)?)
    }

    /// The service's own database, by `database.url` (`DATABASE_URL`) or its parts; without any of
    /// them a SQLite file at `.regatta/data/<name>/<name>.db`. Makes the pools and connects to
    /// nothing yet. Its health is the service's: while it is away, the service is not ready.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] when a setting is wrong.
    #[cfg(feature = "database")]
    pub fn database(&self) -> Result<regatta_database::Database> {
        let settings = &self.settings;
        let keys = ["url", "host", "port", "name", "user", "password"];
        let is_set = settings.database.url.is_some()
            || keys.iter().any(|key| self.config.origin(&format!("database.{key}")).is_some());
        let url = if is_set {
            settings.database.to_url()
        } else {
            let name = &self.name;
            let url = format!("sqlite://.regatta/data/{name}/{name}.db");
            tracing::info!(url, "database.url is not set; using a file");
            regatta_core::Secret::new(url)
        };
        let options = settings.pools.options(self.name.as_str());
        let database = regatta_database::Database::open(url.expose(), &options);
        let database = database.map_err(|error| self.refuse(Error::Database(error)))?;
        // A push leaves the list whole, whoever panicked.
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        databases.push(database.clone());
        drop(databases);
        let probed = database.clone();
        self.depend(Dependency::new("database", true, move || {
            let database = probed.clone();
            async move { database.probe().await }
        }));
        Ok(database)
    }

    /// The version of the program, shown by `/health` and `/openapi.json`; give it
    /// `env!("CARGO_PKG_VERSION")`. Default: `service.version`, else `0.0.0`.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// Serves these routes: an axum `Router`, or an `OpenApiRouter`, whose description then is at
    /// `/openapi.json`. May be called several times.
    ///
    /// # Panics
    ///
    /// When two routes are the same, or one of the chassis' own, as axum does.
    #[must_use]
    pub fn rest(mut self, routes: impl Into<Rest>) -> Self {
        let Rest { router, document } = routes.into();
        self.router = self.router.merge(router);
        if let Some(document) = document {
            let others = std::mem::replace(&mut self.document, document);
            self.document.merge(others);
        }
        self
    }

    /// Serves this gRPC service, beside REST on the same port. May be called several times.
    #[must_use]
    pub fn grpc<S>(mut self, service: S) -> Self
    where
        S: tower_service::Service<http::Request<tonic::body::Body>, Error = Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.grpc_services.insert(S::NAME.to_owned());
        self.grpc.add_service(service);
        self
    }

    /// Describes the gRPC services to those who ask (server reflection, `grpcurl`): the encoded
    /// `FileDescriptorSet` that the code generator wrote.
    #[must_use]
    pub fn reflection(mut self, descriptors: &'static [u8]) -> Self {
        self.descriptors.push(descriptors);
        self
    }

    /// Shows something it needs in `/health`; while the probe fails, the service is not ready.
    ///
    /// A probe is asked at most once a second, given 5 s, and its error is shown to whoever asks.
    #[must_use]
    pub fn health<F, R, E>(self, name: &str, probe: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = std::result::Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.depend(Dependency::new(name, true, probe));
        self
    }

    /// Shows something it can do without for a while: while the probe fails, `/health` says so and
    /// the service stays ready.
    #[must_use]
    pub fn health_optional<F, R, E>(self, name: &str, probe: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = std::result::Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.depend(Dependency::new(name, false, probe));
        self
    }

    /// Takes the port, without serving yet; most services call [`Service::run`].
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] when the port is taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the port is free again.
    pub async fn bind(self) -> Result<Server> {
        let ends_process = self.ends_process;
        let bound = Server::bind(self);
        bound.map_err(|error| if ends_process { error.end_process_if_setting() } else { error })
    }

    /// Serves until SIGTERM or SIGINT (Ctrl-C), then drains: not ready, deregistered, still
    /// serving for `server.linger`, then no new connections, requests in flight and tasks are
    /// finished, databases closed, telemetry is sent: all of it within `server.drain_timeout`. A
    /// second signal ends the process at once, with exit code 1.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] when the port is taken.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped, it cuts off requests in flight.
    pub async fn run(self) -> Result {
        let signals = Signals::hear();
        let server = self.bind().await?;
        let drain = signals.drain();
        tokio::select! {
            () = server.run(drain) => Ok(()),
            never = signals.act() => match never {},
        }
    }

    /// An error of an opened service; one of the settings ends the process if that is wanted.
    pub(crate) fn refuse(&self, error: Error) -> Error {
        if self.ends_process { error.end_process_if_setting() } else { error }
    }

    pub(crate) fn depend(&self, dependency: Dependency) {
        // A push leaves the list whole, whoever panicked.
        self.dependencies.lock().unwrap_or_else(PoisonError::into_inner).push(dependency);
    }

    pub(crate) fn shown_version(&self) -> Arc<str> {
        let version = self.version.as_deref().or(self.settings.service.version.as_deref());
        version.unwrap_or("0.0.0").into()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .field("grpc_services", &self.grpc_services)
            .finish_non_exhaustive()
    }
}
