//! `GET /v1/regatta/backup`: everything, as one file. Not Consul's.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use regatta_core::Chain;

use super::app::App;
use super::failure::Failure;
use crate::backup::stream;
use crate::copies::{Busy, Outlet};

/// Sends what was acknowledged before the request came.
pub(crate) async fn backup(State(app): State<App>) -> Result<Response, Failure> {
    let busy = |busy: Busy| Failure::new(StatusCode::SERVICE_UNAVAILABLE, busy.to_string());
    let turn = app.copies.turn().await.map_err(busy)?;
    let stopping =
        || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the control plane is stopping");
    let written = app.defragmenter.snapshot().await.ok_or_else(stopping)?;
    let file = written.map_err(|error| Failure::internal(Chain(&*error).to_string()))?;
    let (out, chunks) = Outlet::new();
    // Ends with the file or with its client.
    app.tasks.spawn(async move {
        let _turn = turn;
        stream(file, out).await;
    });
    let body = Body::from_stream(chunks);
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}
