//! Payments in a SQLite file.

use async_trait::async_trait;
use regatta_database::{Database, Error as DatabaseError, Sqlite};

use super::row::{Row, declined, domain_error};
use crate::domain::{Error, NewPayment, Payment, PaymentId, Payments, Recorded};

/// Payments in a SQLite file.
#[derive(Clone, Debug)]
pub struct SqlitePayments {
    database: Database,
    sqlite: Sqlite,
}

impl SqlitePayments {
    pub(super) fn new(database: Database, sqlite: Sqlite) -> Self {
        Self { database, sqlite }
    }

    async fn insert(&self, payment: &NewPayment) -> Result<Option<Row>, DatabaseError> {
        // In a transaction, so that an error of the commit is seen: of a statement with RETURNING
        // that commits by itself, fetch_optional reads the row and drops the rest.
        let mut writing = self.sqlite.begin().await?;
        let row: Option<Row> = sqlx::query_as(
            "INSERT INTO payments (payer, idempotency_key, order_id, hundredths, declined)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (payer, idempotency_key) DO NOTHING
             RETURNING id, payer, order_id, hundredths, declined, created_at",
        )
        .bind(&payment.payer)
        .bind(payment.key.as_str())
        .bind(payment.order_id.number())
        .bind(payment.amount.hundredths())
        .bind(declined(&payment.outcome))
        .fetch_optional(&mut *writing)
        .await?;
        writing.commit().await?;
        Ok(row)
    }

    async fn earlier(&self, payment: &NewPayment) -> Result<Option<Payment>, Error> {
        let select = sqlx::query_as::<_, Row>(
            "SELECT id, payer, order_id, hundredths, declined, created_at FROM payments
             WHERE payer = ?1 AND idempotency_key = ?2",
        )
        .bind(&payment.payer)
        .bind(payment.key.as_str())
        .fetch_optional(self.sqlite.reader());
        let row = self.database.query("SELECT", "payments", select).await.map_err(domain_error)?;
        row.map(Row::into_payment).transpose()
    }
}

#[async_trait]
impl Payments for SqlitePayments {
    async fn record(&self, payment: NewPayment) -> Result<Recorded, Error> {
        // First, because an insert that meets its key uses up a number all the same.
        if let Some(earlier) = self.earlier(&payment).await? {
            return Ok(Recorded::Earlier(earlier));
        }
        let insert = self.insert(&payment);
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
             WHERE id = ?1",
        )
        .bind(id.number())
        .fetch_optional(self.sqlite.reader());
        let row = self.database.query("SELECT", "payments", select).await.map_err(domain_error)?;
        row.map(Row::into_payment).transpose()
    }
}
