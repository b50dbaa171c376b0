//! Orders over REST.

use regatta::auth::{self, Claims};
use regatta::axum::extract::State;
use regatta::axum::response::{IntoResponse, Response};
use regatta::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use regatta::{Guard, Json, Path, Problem, Query};
use time::OffsetDateTime;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::problem::no_order;
use super::wire::{OrderBody, OrderFields, OrderPage, PageQuery, PlacedBody};
use crate::domain::{Desk, IdempotencyKey, OrderId, Status, UserId, Wish};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(OpenApi)]
#[openapi(
    info(title = "order-service", description = "Orders of the reference system."),
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

/// The routes, all for role `user`.
pub fn routes(desk: Desk, guard: &Guard) -> OpenApiRouter {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(place_order, list_orders))
        .routes(routes!(get_order))
        .route_layer(guard.role("user"))
        .with_state(desk)
}

/// Places an order, once for a caller and key; the key is kept for 24 hours.
///
/// It is answered at once; the payment follows, and the order then reads `paid` or `cancelled`. A
/// repeated request gets the answer of the first. Without a key one is made and answered in the
/// header `Idempotency-Key`, also with an error.
#[utoipa::path(post, path = "/orders", request_body = OrderFields,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255)),
    security(("token" = ["user"])), responses(
    (status = 201, description = "placed", body = PlacedBody,
     headers(("Location" = String, description = "the order, relative to this URL"),
             ("Idempotency-Key" = String, description = "the key of this order"))),
    (status = 400, description = "the body, a field or the key is not right"),
    (status = 422, description = "no such user (`user_not_found`), or the key was used for another \
                                  order (`idempotency_key_reused`)"),
    (status = 503, description = "the user-service is away; repeat with the same key"),
))]
async fn place_order(
    State(desk): State<Desk>,
    claims: Claims,
    headers: HeaderMap,
    Json(fields): Json<OrderFields>,
) -> Result<Response, Problem> {
    let wish = Wish {
        caller: claims.user_id().to_owned(),
        key: key(&headers)?,
        user_id: UserId::try_new(fields.user_id.into())?,
        amount: fields.amount,
    };
    let key = HeaderValue::from_str(wish.key.as_str());
    let key = key.map(|key| [(IDEMPOTENCY_KEY, key)]).ok();
    let order = match desk.place(wish, OffsetDateTime::from(auth::now())).await {
        Ok(order) => order,
        Err(error) => return Ok((key, Problem::from(error)).into_response()),
    };
    let order_id = order.id.number();
    // Relative, so that it holds behind a gateway's prefix too (RFC 9110, section 10.2.2).
    let location = [(header::LOCATION, format!("orders/{order_id}"))];
    let body = Json(PlacedBody { order_id, status: Status::Created.name() });
    Ok((StatusCode::CREATED, key, location, body).into_response())
}

/// Answers an order, as it is now, to the one who placed it, and to role `admin`.
#[utoipa::path(get, path = "/orders/{id}", params(("id" = i32, Path, minimum = 1)),
    security(("token" = ["user"])), responses(
    (status = 200, description = "the order", body = OrderBody),
    (status = 400, description = "the id is out of range"),
    (status = 404, description = "the caller has no such order (`order_not_found`)"),
))]
async fn get_order(
    State(desk): State<Desk>,
    claims: Claims,
    Path(id): Path<i32>,
) -> Result<Json<OrderBody>, Problem> {
    let id = OrderId::try_new(id.into())?;
    let order = desk.get(id).await?;
    let order = order
        .filter(|order| order.terms.caller == claims.user_id() || claims.has_role("admin"))
        .ok_or_else(|| no_order(id))?;
    Ok(Json(order.into()))
}

/// Lists the caller's orders, for role `admin` everybody's, as of a moment ago; page by page.
#[utoipa::path(get, path = "/orders", params(PageQuery),
    security(("token" = ["user"])), responses(
    (status = 200, description = "a page of orders, the lowest numbers first", body = OrderPage),
    (status = 400, description = "a parameter is out of range"),
))]
async fn list_orders(
    State(desk): State<Desk>,
    claims: Claims,
    Query(page): Query<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    let caller = (!claims.has_role("admin")).then(|| claims.user_id().to_owned());
    let listing = page.listing(caller)?;
    let orders = desk.list(&listing).await?;
    // A full page that happens to be the last one is followed by an empty one.
    let next = orders.last().filter(|_| orders.len() == listing.limit as usize);
    let next = next.map(|last| format!("?limit={}&after={}", listing.limit, last.id.number()));
    let link = next.as_ref().map(|next| [(header::LINK, format!("<{next}>; rel=\"next\""))]);
    let next = next.map(|next| format!("/orders{next}"));
    let orders = orders.into_iter().map(OrderBody::from).collect();
    Ok((link, Json(OrderPage { orders, next })))
}

fn key(headers: &HeaderMap) -> Result<IdempotencyKey, Problem> {
    let text = match headers.get(IDEMPOTENCY_KEY) {
        Some(key) => key.to_str().unwrap_or_default().to_owned(),
        None => Uuid::new_v4().to_string(),
    };
    Ok(IdempotencyKey::try_new(&text)?)
}
