//! Everything the port serves, put together.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use http::header;
use regatta_telemetry::{RouteLayer, Telemetry};
use tonic::service::RoutesBuilder;
use tower_layer::Layer;

use crate::health::{self, GrpcHealth, Health};
use crate::serve::{Admission, Rules, Serve};
use crate::{Error, Result, Service, openapi};

/// axum's own limit on bodies, in bytes.
const AXUM_BODY_LIMIT: u64 = 2 * 1024 * 1024;

/// Everything the port serves.
pub(crate) fn app(mut service: Service, health: &Health) -> Result<App> {
    let guard = service.grpc_guard()?;
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
    if let Some(guard) = guard {
        grpc = grpc.route_layer(guard.token());
    }
    let settings = &service.settings.server;
    let open = open.routes().into_axum_router().reset_fallback();
    let mut router = service.router.merge(own).merge(grpc).merge(open);
    if settings.max_body_bytes.0 > AXUM_BODY_LIMIT {
        // Ours is the limit then.
        router = router.layer(DefaultBodyLimit::disable());
    }
    let trusted = settings.trusted_hops.iter().map(|hop| hop.0).collect();
    let rules = Rules {
        max_body_bytes: settings.max_body_bytes.0,
        request_timeout: settings.request_timeout,
        grpc_services: service.grpc_services,
        tracker: service.tasks.tracker().clone(),
        admission: Some(Admission::new(service.door, service.rate, trusted, &service.telemetry)),
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
pub(crate) type App = regatta_telemetry::Serve<Serve>;

const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
