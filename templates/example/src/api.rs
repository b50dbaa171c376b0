//! The REST interface; `/openapi.json` describes it.

use std::sync::Arc;

use regatta::axum::extract::State;
use regatta::utoipa::ToSchema;
use regatta::utoipa_axum::{router::OpenApiRouter, routes};
// The macros of utoipa look for `axum` and `utoipa` by these names.
use regatta::{Json, Path, Problem, axum, utoipa};
use serde::Serialize;

use crate::Settings;

/// A greeting, as it is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Greeting {
    /// What is said.
    #[schema(example = "Hello, Ada")]
    pub message: String,
}

/// All routes of the service.
pub fn routes(settings: &Settings) -> OpenApiRouter {
    let greeting: Arc<str> = settings.greeting.as_str().into();
    OpenApiRouter::new().routes(routes!(hello)).with_state(greeting)
}

/// Greets somebody by name.
#[utoipa::path(
    get,
    path = "/hello/{name}",
    params(("name" = String, Path, description = "Whom to greet, at most 100 characters")),
    responses(
        (status = 200, body = Greeting),
        (status = 400, description = "The name is too long", content_type = "application/problem+json"),
    )
)]
async fn hello(
    State(greeting): State<Arc<str>>,
    Path(name): Path<String>,
) -> Result<Json<Greeting>, Problem> {
    let length = name.chars().count();
    if length > 100 {
        return Err(Problem::invalid(format!("the name has {length} characters; use 1 to 100")));
    }
    Ok(Json(Greeting { message: format!("{greeting}, {name}") }))
}
