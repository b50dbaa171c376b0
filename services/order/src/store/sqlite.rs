//! Orders in a SQLite file.

use async_trait::async_trait;
use regatta_database::{Database, Error as DatabaseError, Sqlite};
use time::OffsetDateTime;

use super::row::{KEYS_LET_GO, Row, columns, domain_error};
use crate::domain::{Begun, Error, IdempotencyKey, NewOrder, Order, OrderId, Orders, Settlement};

/// Orders in a SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteOrders {
    database: Database,
    sqlite: Sqlite,
}

/// A row, and whether it is new.
struct Kept {
    row: Row,
    is_new: bool,
}

impl SqliteOrders {
    pub(super) fn new(database: Database, sqlite: Sqlite) -> Self {
        Self { database, sqlite }
    }

    async fn insert(&self, order: &NewOrder) -> Result<Kept, DatabaseError> {
        let mut writing = self.sqlite.begin().await?;
        sqlx::query(
            "UPDATE orders SET idempotency_key = NULL, key_expires_at = NULL WHERE id IN (
                 SELECT id FROM orders WHERE key_expires_at <= ?1 AND status <> 'pending'
                 ORDER BY (caller = ?2 AND idempotency_key = ?3) DESC, key_expires_at
                 LIMIT ?4
             )",
        )
        .bind(order.now.unix_timestamp())
        .bind(&order.caller)
        .bind(order.key.as_str())
        .bind(KEYS_LET_GO)
        .execute(&mut *writing)
        .await?;
        let inserted: Option<Row> = sqlx::query_as(
            "INSERT INTO orders
                 (caller, user_id, hundredths, payment_key, idempotency_key, key_expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (caller, idempotency_key) DO NOTHING
             RETURNING id, caller, user_id, hundredths, status, reason, payment_id, payment_key,
                 created_at",
        )
        .bind(&order.caller)
        .bind(order.user_id.number())
        .bind(order.amount.hundredths())
        .bind(&order.payment_key)
        .bind(order.key.as_str())
        .bind(order.key_expires_at())
        .fetch_optional(&mut *writing)
        .await?;
        let kept = match inserted {
            Some(row) => Kept { row, is_new: true },
            None => {
                let earlier = sqlx::query_as(
                    "SELECT id, caller, user_id, hundredths, status, reason, payment_id, payment_key,
                         created_at
                     FROM orders WHERE caller = ?1 AND idempotency_key = ?2",
                );
                let earlier = earlier.bind(&order.caller).bind(order.key.as_str());
                Kept { row: earlier.fetch_one(&mut *writing).await?, is_new: false }
            }
        };
        writing.commit().await?;
        Ok(kept)
    }
}

#[async_trait]
impl Orders for SqliteOrders {
    async fn find(
        &self,
        caller: &str,
        key: &IdempotencyKey,
        now: OffsetDateTime,
    ) -> Result<Option<Order>, Error> {
        let select = sqlx::query_as::<_, Row>(
            "SELECT id, caller, user_id, hundredths, status, reason, payment_id, payment_key,
                 created_at
             FROM orders WHERE caller = ?1 AND idempotency_key = ?2
                 AND (key_expires_at > ?3 OR status = 'pending')",
        )
        .bind(caller)
        .bind(key.as_str())
        .bind(now.unix_timestamp())
        .fetch_optional(self.sqlite.reader());
        let row = self.database.query("SELECT", "orders", select).await.map_err(domain_error)?;
        row.map(Row::into_order).transpose()
    }

    async fn begin(&self, order: NewOrder) -> Result<Begun, Error> {
        let insert = self.insert(&order);
        let kept = self.database.query("INSERT", "orders", insert).await.map_err(domain_error)?;
        let order = kept.row.into_order()?;
        Ok(if kept.is_new { Begun::New(order) } else { Begun::Earlier(order) })
    }

    async fn settle(&self, id: OrderId, settlement: Settlement) -> Result<Option<Order>, Error> {
        let (status, payment_id, reason) = columns(&settlement);
        let update = sqlx::query(
            "UPDATE orders SET status = ?2, payment_id = ?3, reason = ?4
             WHERE id = ?1 AND status = 'pending'",
        )
        .bind(id.number())
        .bind(status)
        .bind(payment_id)
        .bind(reason)
        .execute(self.sqlite.writer());
        self.database.query("UPDATE", "orders", update).await.map_err(domain_error)?;
        self.get(id).await
    }

    async fn get(&self, id: OrderId) -> Result<Option<Order>, Error> {
        let select = sqlx::query_as::<_, Row>(
            "SELECT id, caller, user_id, hundredths, status, reason, payment_id, payment_key,
                 created_at
             FROM orders WHERE id = ?1",
        )
        .bind(id.number())
        .fetch_optional(self.sqlite.reader());
        let row = self.database.query("SELECT", "orders", select).await.map_err(domain_error)?;
        row.map(Row::into_order).transpose()
    }

    async fn pending(&self, after: Option<OrderId>, limit: u32) -> Result<Vec<Order>, Error> {
        let select = sqlx::query_as::<_, Row>(
            "SELECT id, caller, user_id, hundredths, status, reason, payment_id, payment_key,
                 created_at
             FROM orders WHERE status = 'pending' AND id > ?1 ORDER BY id LIMIT ?2",
        )
        .bind(after.map_or(0, OrderId::number))
        .bind(i64::from(limit))
        .fetch_all(self.sqlite.reader());
        let rows = self.database.query("SELECT", "orders", select).await.map_err(domain_error)?;
        rows.into_iter().map(Row::into_order).collect()
    }
}
