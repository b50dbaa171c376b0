//! Payments over REST.

use std::sync::Arc;

use regatta::auth::Claims;
use regatta::axum::extract::State;
use regatta::axum::response::{IntoResponse, Response};
use regatta::http::{HeaderMap, StatusCode, header};
use regatta::{Guard, Json, Path, Problem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{declined, key_reused, no_key, no_payment};
use super::wire::{PaymentBody, PaymentFields};
use crate::domain::{
    Amount, IdempotencyKey, NewPayment, OrderId, PaymentId, Payments, Recorded, decide,
};

#[derive(Clone)]
struct Api {
    payments: Arc<dyn Payments>,
    limit: Amount,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "payment-service", description = "Payments of the reference system."),
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

/// The routes, all for role `user`; what is over `limit` is declined.
pub fn routes(payments: Arc<dyn Payments>, limit: Amount, guard: &Guard) -> OpenApiRouter {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(pay))
        .routes(routes!(get_payment))
        .route_layer(guard.role("user"))
        .with_state(Api { payments, limit })
}

/// Pays, once for a caller and key: a repeated request gets the answer of the first one.
#[utoipa::path(post, path = "/payments", request_body = PaymentFields,
    params(("Idempotency-Key" = String, Header, min_length = 1, max_length = 255)),
    security(("token" = ["user"])), responses(
    (status = 201, description = "paid", body = PaymentBody,
     headers(("Location" = String, description = "the payment, relative to this URL"))),
    (status = 400, description = "the body, a field or the key is not right"),
    (status = 402, description = "recorded as declined (`payment_declined`); `reason` says why"),
    (status = 422, description = "the key was used for another payment"),
))]
async fn pay(
    State(api): State<Api>,
    claims: Claims,
    headers: HeaderMap,
    Json(fields): Json<PaymentFields>,
) -> Result<Response, Problem> {
    let new = NewPayment {
        payer: claims.user_id().to_owned(),
        key: key(&headers)?,
        order_id: OrderId::try_new(fields.order_id.into())?,
        amount: fields.amount,
        outcome: decide(fields.amount, api.limit),
    };
    let payment = match api.payments.record(new.clone()).await? {
        Recorded::Earlier(payment) if !payment.is_the_same(&new) => return Err(key_reused()),
        Recorded::New(payment) | Recorded::Earlier(payment) => payment,
    };
    if let Some(problem) = declined(&payment) {
        return Err(problem);
    }
    // Relative, so that it holds behind a gateway's prefix too (RFC 9110, section 10.2.2).
    let location = format!("payments/{}", payment.id.number());
    let body = Json(PaymentBody::from(payment));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response())
}

/// Answers a payment to the one who asked for it, and to role `admin`.
#[utoipa::path(get, path = "/payments/{id}", params(("id" = i32, Path, minimum = 1)),
    security(("token" = ["user"])), responses(
    (status = 200, description = "the payment", body = PaymentBody),
    (status = 400, description = "the id is out of range"),
    (status = 404, description = "the caller has no such payment (`payment_not_found`)"),
))]
async fn get_payment(
    State(api): State<Api>,
    claims: Claims,
    Path(id): Path<i32>,
) -> Result<Json<PaymentBody>, Problem> {
    let id = PaymentId::try_new(id.into())?;
    let payment = api.payments.get(id).await?;
    let payment = payment
        .filter(|payment| payment.payer == claims.user_id() || claims.has_role("admin"))
        .ok_or_else(|| no_payment(id))?;
    Ok(Json(payment.into()))
}

fn key(headers: &HeaderMap) -> Result<IdempotencyKey, Problem> {
    let key = headers.get("idempotency-key").ok_or_else(no_key)?;
    Ok(IdempotencyKey::try_new(key.to_str().unwrap_or_default())?)
}
