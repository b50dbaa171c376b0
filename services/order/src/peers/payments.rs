//! The payment-service, over REST.

use async_trait::async_trait;
use regatta::Code;
use regatta::client::{Error, ServiceClient};
use regatta::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::{Authority, Cashier, Order, PeerError, Settlement};

const NAME: &str = "payment-service";

/// The payment-service as a cashier.
#[derive(Clone)]
pub struct PaymentService {
    client: ServiceClient,
}

#[derive(Serialize)]
struct Wanted {
    order_id: i32,
    amount: String,
}

#[derive(Deserialize)]
struct Paid {
    payment_id: i32,
}

/// The problem that says that a payment is declined.
#[derive(Deserialize)]
struct Declined {
    code: String,
    reason: String,
}

impl PaymentService {
    /// Pays over this client.
    pub fn new(client: ServiceClient) -> Self {
        Self { client }
    }

    async fn ask(&self, order: &Order, authority: &Authority) -> Result<Settlement, PeerError> {
        let wanted = Wanted { order_id: order.id.number(), amount: order.amount.to_string() };
        let request = self.client.post("/payments").json(&wanted);
        let request = request.idempotency_key(&order.payment_key).bearer(authority.expose());
        let response = request.send().await.map_err(peer_error)?;
        if response.status() != StatusCode::PAYMENT_REQUIRED {
            let Paid { payment_id } = response.json().await.map_err(peer_error)?;
            return Ok(Settlement::Paid { payment_id });
        }
        let body = response.bytes().await.map_err(peer_error)?;
        match serde_json::from_slice::<Declined>(&body) {
            Ok(declined) if declined.code == "payment_declined" => {
                Ok(Settlement::Declined { reason: declined.reason })
            }
            Ok(_) => Err(broken("it answered 402 for another reason".into())),
            Err(error) => Err(broken(error.into())),
        }
    }
}

#[async_trait]
impl Cashier for PaymentService {
    async fn pay(&self, order: &Order, authority: &Authority) -> Result<Settlement, PeerError> {
        self.ask(order, authority).await
    }
}

fn peer_error(error: Error) -> PeerError {
    match error.code() {
        Code::Unavailable | Code::DeadlineExceeded => {
            PeerError::Unavailable { service: NAME, source: error.into() }
        }
        _ => broken(error.into()),
    }
}

fn broken(source: Box<dyn std::error::Error + Send + Sync>) -> PeerError {
    PeerError::Broken { service: NAME, source }
}
