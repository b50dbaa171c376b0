//! What telemetry costs one request and one call, with no endpoint set.
#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::convert::Infallible;
use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use regatta_telemetry::client::{ClientSpan, Outgoing};
use regatta_telemetry::{Identity, Options, Route, Telemetry};
use tower::{Layer, Service, service_fn};

type Body = Empty<&'static [u8]>;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let telemetry = Telemetry::init(Identity::new("bench"), Options::quiet()).unwrap();
    let handler =
        || service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::new())) });
    let route = Route("/users/{id}".into());
    let request = |has_headers: bool| {
        let mut request = Request::get("/users/1").extension(route.clone());
        if has_headers {
            request = request
                .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
                .header("x-request-id", "5f0c7a0e5f0c7a0e")
                .header("x-envoy-expected-rq-timeout-ms", "5000")
                .header("accept", "application/json")
                .header("host", "users.example");
        }
        request.body(Body::new()).unwrap()
    };

    let mut group = criterion.benchmark_group("request");
    let mut bare = handler();
    group.bench_function("bare service", |bencher| {
        bencher.iter_batched(
            || request(true),
            |request| runtime.block_on(serve(&mut bare, request)),
            BatchSize::SmallInput,
        );
    });
    let mut observed = telemetry.server_layer().layer(handler());
    for (name, has_headers) in
        [("observed, with a caller's trace", true), ("observed, alone", false)]
    {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || request(has_headers),
                |request| runtime.block_on(serve(&mut observed, request)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("call");
    let method = Method::GET;
    group.bench_function("span and headers", |bencher| {
        bencher.iter_batched(
            HeaderMap::new,
            |mut headers| {
                let outgoing = Outgoing::new(&method, "/orders/1", "127.0.0.1", 8080);
                let mut call = ClientSpan::start(&telemetry, black_box(outgoing));
                call.inject(&mut headers);
                call.respond(200, &headers);
                call.end();
                headers
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();

    let mut group = criterion.benchmark_group("query");
    group.bench_function("measured", |bencher| {
        bencher.iter(|| {
            let statement = async { Ok::<_, Infallible>(7) };
            runtime.block_on(regatta_telemetry::query("sqlite", "SELECT", "users", statement))
        });
    });
    group.finish();
    criterion.final_summary();
}

async fn serve<S, B>(service: &mut S, request: Request<Body>)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let response = service.call(request).await.unwrap();
    black_box(response.into_body().collect().await.unwrap());
}
