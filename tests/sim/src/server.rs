//! A service's server on a simulated host, which leaves as the chassis does.

use std::io;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use turmoil::net::TcpListener;

use crate::PORT;

/// Serves these routes until `close`, then finishes what is in flight. Requests carry their
/// context, as with the chassis: deadline, trace, whether they are retries.
///
/// # Errors
///
/// When the simulated host cannot listen.
///
/// # Cancel safety
///
/// Not cancel safe: dropped, it cuts off what is in flight.
pub async fn serve(routes: Router, close: CancellationToken) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let routes = routes.layer(regatta_telemetry::Telemetry::global().server_layer());
    let (graceful, connections) = (GracefulShutdown::new(), TaskTracker::new());
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    loop {
        let (stream, _peer) = tokio::select! {
            () = close.cancelled() => break,
            accepted = listener.accept() => accepted?,
        };
        let service = TowerToHyperService::new(routes.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        // How a connection ends is its client's to judge.
        connections.spawn(async move { drop(connection.await) });
    }
    drop(listener);
    graceful.shutdown().await;
    connections.close();
    connections.wait().await;
    Ok(())
}
