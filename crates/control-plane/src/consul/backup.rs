//! `GET /v1/regatta/backup`: everything, as one file. Not Consul's.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use regatta_core::Chain;
use tokio_stream::wrappers::ReceiverStream;

use super::app::App;
use super::failure::Failure;
use crate::backup::{CHUNKS, stream};

/// Sends what was acknowledged before the request came.
pub(crate) async fn backup(State(app): State<App>) -> Result<Response, Failure> {
    let stopping =
        || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the control plane is stopping");
    let written = app.defragmenter.snapshot().await.ok_or_else(stopping)?;
    let file = written.map_err(|error| Failure::internal(Chain(&*error).to_string()))?;
    let (out, chunks) = tokio::sync::mpsc::channel(CHUNKS);
    // Ends with the file or with its client.
    app.tasks.spawn_blocking(move || stream(file, &out));
    let body = Body::from_stream(ReceiverStream::new(chunks));
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}
