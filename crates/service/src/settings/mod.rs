//! What an operator may set about any service.

mod service;
pub use service::ServiceSettings;

mod server;
pub use server::ServerSettings;

mod registry;
pub use registry::RegistrySettings;

mod telemetry;
pub use telemetry::{LogFormat, LogSettings, TelemetrySettings};

mod cache;
pub use cache::CacheSettings;

mod client;
pub use client::{
    ClientSettings, FailureCondition, ServiceCallSettings, ServicesSettings, Strategy,
};

mod admission;
pub use admission::{RateAlgorithm, RateLimitSettings, ShedSettings};

mod limits;
pub use limits::{LimitsSettings, OnOutage};

mod admin;
pub use admin::{AdminSettings, ReloadSettings};

mod config_center;
pub use config_center::ConfigCenterSettings;

mod auth;
pub use auth::{AuthSettings, GrpcAuth, KeyAlgorithm};

mod events;
pub use events::{EventsSettings, NatsSettings};

#[cfg(feature = "database")]
mod database;
#[cfg(feature = "database")]
pub use database::PoolSettings;

use regatta_config::{DatabaseSettings, RedisSettings};

/// The groups of every service, read at once.
#[cfg(feature = "database")]
pub type Groups = (
    (ServiceSettings, ServerSettings, RegistrySettings, ClientSettings, AuthSettings),
    (
        ShedSettings,
        RateLimitSettings,
        LimitsSettings,
        AdminSettings,
        ReloadSettings,
        ConfigCenterSettings,
    ),
    (TelemetrySettings, LogSettings),
    (DatabaseSettings, PoolSettings, RedisSettings, CacheSettings, EventsSettings, NatsSettings),
);

/// The groups of every service, read at once.
#[cfg(not(feature = "database"))]
pub type Groups = (
    (ServiceSettings, ServerSettings, RegistrySettings, ClientSettings, AuthSettings),
    (
        ShedSettings,
        RateLimitSettings,
        LimitsSettings,
        AdminSettings,
        ReloadSettings,
        ConfigCenterSettings,
    ),
    (TelemetrySettings, LogSettings),
    (DatabaseSettings, RedisSettings, CacheSettings, EventsSettings, NatsSettings),
);

/// What an operator has set about a service.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Settings {
    /// Who this process is.
    pub service: ServiceSettings,
    /// The port and what one client may take of it.
    pub server: ServerSettings,
    /// Where instances are registered and found.
    pub registry: RegistrySettings,
    /// Calls to other services.
    pub client: ClientSettings,
    /// Whose tokens are believed.
    pub auth: AuthSettings,
    /// Requests at a time.
    pub shed: ShedSettings,
    /// Requests of each client.
    pub rate_limit: RateLimitSettings,
    /// Where they are counted.
    pub limits: LimitsSettings,
    /// The port for operators.
    pub admin: AdminSettings,
    /// Settings that change while the service runs.
    pub reload: ReloadSettings,
    /// Where settings of many instances are kept.
    pub config_center: ConfigCenterSettings,
    /// What is sent to a collector.
    pub telemetry: TelemetrySettings,
    /// The log.
    pub log: LogSettings,
    /// Where the database is.
    pub database: DatabaseSettings,
    /// The limits of its pools.
    #[cfg(feature = "database")]
    pub pools: PoolSettings,
    /// Where Redis is.
    pub redis: RedisSettings,
    /// Where answers are kept for a while.
    pub cache: CacheSettings,
    /// Where the event bus is.
    pub events: EventsSettings,
    /// What of it NATS needs to know.
    pub nats: NatsSettings,
}

impl From<Groups> for Settings {
    fn from(groups: Groups) -> Self {
        let (
            (service, server, registry, client, auth),
            (shed, rate_limit, limits, admin, reload, config_center),
            (telemetry, log),
            stores,
        ) = groups;
        #[cfg(feature = "database")]
        let (database, pools, redis, cache, events, nats) = stores;
        #[cfg(not(feature = "database"))]
        let (database, redis, cache, events, nats) = stores;
        Self {
            service,
            server,
            registry,
            client,
            auth,
            shed,
            rate_limit,
            limits,
            admin,
            reload,
            config_center,
            telemetry,
            log,
            database,
            #[cfg(feature = "database")]
            pools,
            redis,
            cache,
            events,
            nats,
        }
    }
}
