//! Payments in PostgreSQL.

use async_trait::async_trait;
use regatta_database::{Database, Postgres};

use super::row::{Row, declined, domain_error};
use crate::domain::{Error, NewPayment, Payment, PaymentId, Payments, Recorded};

/// Payments in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresPayments {
    database: Database,
    postgres: Postgres,
}

impl PostgresPayments {
    pub(super) fn new(database: Database, postgres: Postgres) -> Self {
        Self { database, postgres }
    }

    async fn earlier(&self, payment: &NewPayment) -> Result<Option<Payment>, Error> {
        let select = sqlx::query_as::<_, Row>(
            "SELECT id, payer, order_id, hundredths, declined, created_at FROM payments
             WHERE payer = $1 AND idempotency_key = $2",
        )
        .bind(&payment.payer)
        .bind(payment.key.as_str())
        .fetch_optional(self.postgres.pool());
        let row = self.database.query("SELECT", "payments", select).await.map_err(domain_error)?;
        row.map(Row::into_payment).transpose()
    }
}

#[async_trait]
impl Payments for PostgresPayments {
    async fn record(&self, payment: NewPayment) -> Result<Recorded, Error> {
        // First, because an insert that meets its key uses up a number all the same.
        if let Some(earlier) = self.earlier(&payment).await? {
            return Ok(Recorded::Earlier(earlier));
        }
        // Waits for another transaction that inserts the same key, so what the second statement
        // looks for is committed.
        let insert = sqlx::query_as::<_, Row>(
            "INSERT INTO payments (payer, idempotency_key, order_id, hundredths, declined)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (payer, idempotency_key) DO NOTHING
             RETURNING id, payer, order_id, hundredths, declined, created_at",
        )
        .bind(&payment.payer)
        .bind(payment.key.as_str())
        .bind(payment.order_id.number())
        .bind(payment.amount.hundredths())
        .bind(declined(&payment.outcome))
        .fetch_optional(self.postgres.pool());
        let row = self.database.query("INSERT", "payments", insert).await.map_err(domain_error)?;
        match row {
            Some(row) => row.into_payment().map(Recorded::New),
            None => {
                let earlier = self.earlier(&payment).await?;
                let lost = || Error::Broken("a payment that was there is gone".into());
                earlier.map(Recorded::Earlier).ok_or_else(lost)
            }
        }
    }

    async fn get(&self, id: PaymentId) -> Result<Option<Payment>, Error> {
        let select = sqlx::query_as::<_, Row>(
            "SELECT id, payer, order_id, hundredths, declined, created_at FROM payments
             WHERE id = $1",
        )
        .bind(id.number())
        .fetch_optional(self.postgres.pool());
        let row = self.database.query("SELECT", "payments", select).await.map_err(domain_error)?;
        row.map(Row::into_payment).transpose()
    }
}
