//! A service from its taken port to its end.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use http::header;
use regatta_core::InstanceId;
use regatta_discovery::{Check, Probe, Registrar, RegistrarSettings, Registration, Standing};
use regatta_telemetry::{RouteLayer, Telemetry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;
use tower_layer::Layer;

use crate::health::{self, Dependency, GrpcHealth, Health};
use crate::serve::{Rules, Serve};
use crate::server::{self, Limits, Phase};
use crate::settings::{GrpcAuth, RegistrySettings};
use crate::tasks::Tasks;
use crate::{Error, Guard, Result, Service, identity, metrics, openapi};

/// axum's own limit on bodies, in bytes.
const AXUM_BODY_LIMIT: u64 = 2 * 1024 * 1024;

/// A service that has its port and does not serve yet.
#[derive(Debug)]
#[must_use = "it serves nothing until `run`"]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    instance: InstanceId,
    app: App,
    limits: Limits,
    linger: Duration,
    health: Health,
    registrar: Option<Registrar>,
    tasks: Tasks,
    telemetry: Telemetry,
}

impl Server {
    pub(crate) fn bind(mut service: Service) -> Result<Self> {
        let settings = service.settings.clone();
        let address = SocketAddr::new(settings.server.host, settings.server.port);
        let listen = |source| Error::Listen { address, source };
        let listener = server::bind(address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let instance = identity::instance(&service.name, &settings.service, address);
        let instance = instance.map_err(Error::Advertise)?;
        let id = instance.id.clone();
        let registrar = service.registry.register.take().map(|registry| {
            let registration = registration(instance, &settings.registry, &service);
            // The defaults are in range.
            Registrar::try_new(registry, registration, RegistrarSettings::default())
        });
        let registrar = registrar.and_then(std::result::Result::ok);
        if let Some(registrar) = &registrar {
            let handle = registrar.handle();
            service.depend(Dependency::new("registry", false, move || {
                let standing = handle.standing();
                async move { tell(&standing) }
            }));
        }
        let health = Health::new(service.dependencies.lock().map_or_else(
            |poisoned| poisoned.into_inner().clone(),
            |dependencies| dependencies.clone(),
        ));
        metrics::observe_process(&service.telemetry);
        let (tasks, telemetry) = (service.tasks.clone(), service.telemetry.clone());
        let (limits, linger) = (settings.server.limits(), settings.server.linger);
        let app = app(service, &health)?;
        Ok(Self {
            listener,
            address,
            instance: id,
            app,
            limits,
            linger,
            health,
            registrar,
            tasks,
            telemetry,
        })
    }

    /// Where it listens, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its id in the registry.
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// Serves until `drain` is cancelled, then drains as [`Service::run`] says.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped, it cuts off requests in flight.
    pub async fn run(self, drain: CancellationToken) {
        let (phase, leaving) = (Phase::default(), CancellationToken::new());
        tracing::info!(address = %self.address, instance = %self.instance, "serving");
        let serving = server::serve(self.listener, self.app, self.limits.clone(), phase.clone());
        let registered = async {
            if let Some(registrar) = self.registrar {
                registrar.run(leaving.clone()).await;
            }
        };
        let goodbye = async {
            drain.cancelled().await;
            self.health.leave();
            leaving.cancel();
        };
        let close = async {
            // Ends when the instance is out of the registry, or that took too long.
            tokio::join!(goodbye, registered);
            phase.leave();
            tokio::time::sleep(self.linger).await;
            phase.close();
        };
        let (cut_off, ()) = tokio::join!(serving, close);
        if cut_off > 0 {
            let limit = self.limits.drain_timeout;
            tracing::warn!(
                cut_off,
                ?limit,
                "connections were cut off, for the drain took too long"
            );
        }
        let left = self.tasks.finish(self.limits.drain_timeout).await;
        if left > 0 {
            tracing::warn!(left, "tasks did not end in time");
        }
        tracing::info!("stopped");
        self.telemetry.shutdown().await;
    }
}

/// What callers find in the registry.
fn registration(
    instance: regatta_core::Instance,
    settings: &RegistrySettings,
    service: &Service,
) -> Registration {
    let mut tags = settings.tags.clone();
    tags.push("http".to_owned());
    if !service.grpc_services.is_empty() {
        tags.push("grpc".to_owned());
    }
    let check = Check {
        probe: Probe::Http { path: "/health/ready".to_owned() },
        interval: settings.check_interval,
        timeout: settings.check_timeout,
        deregister_after: Some(settings.deregister_after),
    };
    Registration::new(instance).with_check(check).with_tags(tags)
}

fn tell(standing: &Standing) -> std::result::Result<(), String> {
    match standing {
        Standing::Registered => Ok(()),
        Standing::Pending => Err("not registered yet".to_owned()),
        Standing::Failing { error } => Err(error.clone()),
        Standing::Gone => Err("deregistered".to_owned()),
    }
}

/// Everything the port serves.
fn app(mut service: Service, health: &Health) -> Result<App> {
    let version = service.shown_version();
    let document = openapi::complete(service.document, service.name.as_str(), &version);
    // Made once: it is the same for every request.
    let document = bytes::Bytes::from(document.to_json().unwrap_or_default());
    let telemetry = service.telemetry.clone();
    let own = Router::new()
        .route("/openapi.json", get(async move || ([JSON], document)))
        .route(
            "/metrics",
            get(async move || {
                let media = (header::CONTENT_TYPE, Telemetry::METRICS_MEDIA_TYPE);
                ([media], telemetry.metrics_text())
            }),
        )
        .merge(health::routes(health.clone(), version));
    // Health answers without a token, also where `auth.grpc` asks for one: orchestrators have none.
    let mut open = RoutesBuilder::default();
    open.add_service(GrpcHealth::server(health.clone(), service.grpc_services.clone()));
    service.grpc_services.insert("grpc.health.v1.Health".to_owned());
    if !service.descriptors.is_empty() {
        let reflection = || {
            let mut builder = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
            for set in &service.descriptors {
                builder = builder.register_encoded_file_descriptor_set(set);
            }
            builder
        };
        // v1alpha for the clients, grpcurl among them, that ask for it first.
        let v1 = reflection().build_v1().map_err(Error::Reflection)?;
        let v1alpha = reflection().build_v1alpha().map_err(Error::Reflection)?;
        service.grpc.add_service(v1).add_service(v1alpha);
        for version in ["v1", "v1alpha"] {
            service.grpc_services.insert(format!("grpc.reflection.{version}.ServerReflection"));
        }
    }
    // tonic's own fallback would answer every unknown path of REST.
    let mut grpc = service.grpc.routes().into_axum_router().reset_fallback();
    if service.settings.auth.grpc == GrpcAuth::Required {
        let guard = Guard::open(&service.settings.auth)?;
        grpc = grpc.route_layer(guard.token());
    }
    let settings = &service.settings.server;
    let open = open.routes().into_axum_router().reset_fallback();
    let mut router = service.router.merge(own).merge(grpc).merge(open);
    if settings.max_body_bytes.0 > AXUM_BODY_LIMIT {
        // Ours is the limit then.
        router = router.layer(DefaultBodyLimit::disable());
    }
    let rules = Rules {
        max_body_bytes: settings.max_body_bytes.0,
        request_timeout: settings.request_timeout,
        grpc_services: service.grpc_services,
        tracker: service.tasks.tracker().clone(),
    };
    let timeout = Some(settings.request_timeout);
    let telemetry = service.telemetry.server_layer().with_timeout(timeout);
    // Before the layer, or axum would build each handler's route anew for each request.
    let router: Router = router.with_state(());
    // All else is outside of the router: a layer inside costs each request a boxed future.
    let router = router.layer(RouteLayer);
    Ok(telemetry.layer(Serve::new(router, rules)))
}

/// What is called for each request.
type App = regatta_telemetry::Serve<Serve>;

const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
