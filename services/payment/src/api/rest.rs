//! Payments over REST.

use std::sync::Arc;

use regatta::auth::Claims;
use regatta::axum::extract::State;
use regatta::{Guard, Json, Path, Problem, Query};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::no_payment;
use super::wire::{PaymentBody, PaymentList, PaymentQuery};
use crate::domain::{OrderId, Payment, PaymentId, Payments};

/// The store as the handlers hold it.
type Store = State<Arc<dyn Payments>>;

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

/// The routes, all for role `user`. Payments are made by events, so nobody can make one here.
pub fn routes(payments: Arc<dyn Payments>, guard: &Guard) -> OpenApiRouter {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(find_payments))
        .routes(routes!(get_payment))
        .route_layer(guard.role("user"))
        .with_state(payments)
}

/// Answers the payment of an order to the one who pays, and to role `admin`.
#[utoipa::path(get, path = "/payments", params(PaymentQuery),
    security(("token" = ["user"])), responses(
    (status = 200, description = "the payment, or none", body = PaymentList),
    (status = 400, description = "the order's id is missing or out of range"),
))]
async fn find_payments(
    State(payments): Store,
    claims: Claims,
    Query(query): Query<PaymentQuery>,
) -> Result<Json<PaymentList>, Problem> {
    let payment = payments.of_order(OrderId::try_new(query.order_id.into())?).await?;
    let payment = payment.filter(|payment| may_see(&claims, payment));
    Ok(Json(PaymentList { payments: payment.into_iter().map(PaymentBody::from).collect() }))
}

/// Answers a payment to the one who pays, and to role `admin`.
#[utoipa::path(get, path = "/payments/{id}", params(("id" = i32, Path, minimum = 1)),
    security(("token" = ["user"])), responses(
    (status = 200, description = "the payment", body = PaymentBody),
    (status = 400, description = "the id is out of range"),
    (status = 404, description = "the caller has no such payment (`payment_not_found`)"),
))]
async fn get_payment(
    State(payments): Store,
    claims: Claims,
    Path(id): Path<i32>,
) -> Result<Json<PaymentBody>, Problem> {
    let id = PaymentId::try_new(id.into())?;
    let payment = payments.get(id).await?;
    let payment = payment.filter(|payment| may_see(&claims, payment));
    Ok(Json(payment.ok_or_else(|| no_payment(id))?.into()))
}

fn may_see(claims: &Claims, payment: &Payment) -> bool {
    payment.wish.payer == claims.user_id() || claims.has_role("admin")
}
