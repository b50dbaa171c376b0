//! Users over REST.

use std::sync::Arc;

use regatta::axum::extract::State;
use regatta::axum::response::IntoResponse;
use regatta::http::{StatusCode, header};
use regatta::{Guard, Json, Path, Problem, Query};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Violations, no_user};
use super::wire::{PageQuery, UserBody, UserChange, UserFields, UserPage};
use crate::domain::{PageSize, UserId, Users};

/// The store as the handlers hold it.
type Store = State<Arc<dyn Users>>;

#[derive(OpenApi)]
#[openapi(
    info(title = "user-service", description = "Users of the reference system."),
    modifiers(&BearerToken)
)]
struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The routes: sign-up for everyone, one user for role `user`, the list for role `admin`.
pub fn routes(users: Arc<dyn Users>, guard: &Guard) -> OpenApiRouter {
    let open = OpenApiRouter::with_openapi(Document::openapi()).routes(routes!(create_user));
    let for_users = OpenApiRouter::new()
        .routes(routes!(get_user, replace_user, change_user, delete_user))
        .route_layer(guard.role("user"));
    let for_admins =
        OpenApiRouter::new().routes(routes!(list_users)).route_layer(guard.role("admin"));
    open.merge(for_users).merge(for_admins).with_state(users)
}

/// Creates a user.
#[utoipa::path(post, path = "/users", request_body = UserFields, responses(
    (status = 201, description = "created", body = UserBody,
     headers(("Location" = String, description = "the user, relative to this URL"))),
    (status = 400, description = "the body or a field is not right"),
    (status = 409, description = "another user has this e-mail address (`email_taken`)"),
))]
async fn create_user(
    State(users): Store,
    Json(fields): Json<UserFields>,
) -> Result<impl IntoResponse, Problem> {
    let user = users.create(fields.check()?).await?;
    // Relative, so that it holds behind a gateway's prefix too (RFC 9110, section 10.2.2).
    let location = format!("users/{}", user.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(UserBody::from(user))))
}

/// Answers a user.
#[utoipa::path(get, path = "/users/{id}", params(("id" = i32, Path, minimum = 1)),
    security(("token" = ["user"])), responses(
    (status = 200, description = "the user", body = UserBody),
    (status = 400, description = "the id is out of range"),
    (status = 404, description = "there is no such user (`user_not_found`)"),
))]
async fn get_user(State(users): Store, Path(id): Path<i32>) -> Result<Json<UserBody>, Problem> {
    let id = user_id(id)?;
    let user = users.get(id).await?.ok_or_else(|| no_user(id))?;
    Ok(Json(user.into()))
}

/// Replaces all of a user; its number and age stay.
#[utoipa::path(put, path = "/users/{id}", params(("id" = i32, Path, minimum = 1)),
    request_body = UserFields, security(("token" = ["user"])), responses(
    (status = 200, description = "the user as it is now", body = UserBody),
    (status = 400, description = "the id, the body or a field is not right"),
    (status = 404, description = "there is no such user (`user_not_found`)"),
    (status = 409, description = "another user has this e-mail address (`email_taken`)"),
))]
async fn replace_user(
    State(users): Store,
    Path(id): Path<i32>,
    Json(fields): Json<UserFields>,
) -> Result<Json<UserBody>, Problem> {
    let id = user_id(id)?;
    let user = users.update(id, fields.check()?.into()).await?.ok_or_else(|| no_user(id))?;
    Ok(Json(user.into()))
}

/// Changes what is given of a user.
#[utoipa::path(patch, path = "/users/{id}", params(("id" = i32, Path, minimum = 1)),
    request_body = UserChange, security(("token" = ["user"])), responses(
    (status = 200, description = "the user as it is now", body = UserBody),
    (status = 400, description = "the id, the body or a field is not right"),
    (status = 404, description = "there is no such user (`user_not_found`)"),
    (status = 409, description = "another user has this e-mail address (`email_taken`)"),
))]
async fn change_user(
    State(users): Store,
    Path(id): Path<i32>,
    Json(change): Json<UserChange>,
) -> Result<Json<UserBody>, Problem> {
    let id = user_id(id)?;
    let user = users.update(id, change.check()?).await?.ok_or_else(|| no_user(id))?;
    Ok(Json(user.into()))
}

/// Deletes a user; its number is not given again.
#[utoipa::path(delete, path = "/users/{id}", params(("id" = i32, Path, minimum = 1)),
    security(("token" = ["user"])), responses(
    (status = 204, description = "deleted"),
    (status = 400, description = "the id is out of range"),
    (status = 404, description = "there is no such user (`user_not_found`)"),
))]
async fn delete_user(State(users): Store, Path(id): Path<i32>) -> Result<StatusCode, Problem> {
    let id = user_id(id)?;
    if users.delete(id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(no_user(id)) }
}

/// Lists users in order of their numbers, page by page.
#[utoipa::path(get, path = "/admin/users", params(PageQuery),
    security(("token" = ["admin"])), responses(
    (status = 200, description = "a page of users", body = UserPage,
     headers(("Link" = String, description = "rel=\"next\": the next page, if there is one"))),
    (status = 400, description = "a parameter is not right"),
))]
async fn list_users(
    State(users): Store,
    Query(query): Query<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    let after = query.after.map(user_id).transpose()?;
    let size = query.limit.map_or(Ok(PageSize::default()), |limit| {
        let remedy = format!("limit `{limit}` is out of range; use 1 to {}", PageSize::MAX);
        PageSize::try_new(limit).ok_or_else(|| Problem::invalid(remedy))
    })?;
    let page = users.page(after, size).await?;
    // A full page that happens to be the last one is followed by an empty one.
    let is_full = page.len() == usize::from(size.number());
    let next = page.last().filter(|_| is_full).map(|user| user.id.number());
    let next = next.map(|next| format!("?limit={}&after={next}", size.number()));
    let link = next.as_ref().map(|next| [(header::LINK, format!("<{next}>; rel=\"next\""))]);
    let next = next.map(|next| format!("/admin/users{next}"));
    let users = page.into_iter().map(UserBody::from).collect();
    Ok((link, Json(UserPage { users, next })))
}

fn user_id(number: i32) -> Result<UserId, Problem> {
    UserId::try_new(number.into()).map_err(|error| Violations::from(error).into())
}
