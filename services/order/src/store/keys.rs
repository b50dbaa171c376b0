//! Gives orders their numbers, once for a caller and key.

use regatta_database::{Database, Engine, Error, Transaction, executing, in_transaction, reading};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

use crate::domain::{IdempotencyKey, NewOrder};

/// How many expired keys are let go with each new order: more than one, so that they do not pile
/// up; bounded, so that no order waits for a clean-up.
const KEYS_LET_GO: i64 = 100;

/// A number that a key stands for.
pub(super) enum Number {
    /// Given by this call.
    New(i32),
    /// Given before.
    Earlier(i32),
}

/// The number of the order that this caller placed with this key.
pub(super) async fn find(
    database: &Database,
    (caller, key): (&str, &IdempotencyKey),
    now: OffsetDateTime,
) -> Result<Option<i32>, Error> {
    let select = "SELECT id FROM order_keys
        WHERE caller = $1 AND idempotency_key = $2 AND key_expires_at > $3";
    let row: Option<(i32,)> = reading!(database, |pool| {
        sqlx::query_as(select)
            .bind(caller)
            .bind(key.as_str())
            .bind(now.unix_timestamp())
            .fetch_optional(pool)
    })?;
    Ok(row.map(|(id,)| id))
}

/// Gives the order a number, or answers that of the order which has its key.
pub(super) async fn take(
    database: &Database,
    tx: &mut Transaction,
    order: &NewOrder,
) -> Result<Number, Error> {
    let NewOrder { key, terms } = order;
    // Keys that another order lets go at this moment are skipped, so that no two wait in a ring.
    let skip = match database.engine() {
        Engine::Sqlite(_) => "",
        Engine::Postgres(_) => "FOR UPDATE SKIP LOCKED",
    };
    let delete = format!(
        "DELETE FROM order_keys WHERE id IN (
             SELECT id FROM order_keys WHERE key_expires_at <= $1
             ORDER BY (caller = $2 AND idempotency_key = $3) DESC, key_expires_at
             LIMIT $4 {skip}
         )"
    );
    executing!(tx, |connection| {
        sqlx::query(AssertSqlSafe(&*delete))
            .bind(terms.placed_at.unix_timestamp())
            .bind(&terms.caller)
            .bind(key.as_str())
            .bind(KEYS_LET_GO)
            .execute(connection)
    })?;
    let insert = "INSERT INTO order_keys (caller, idempotency_key, key_expires_at)
        VALUES ($1, $2, $3) ON CONFLICT (caller, idempotency_key) DO NOTHING RETURNING id";
    let inserted: Option<(i32,)> = in_transaction!(tx, |connection| {
        sqlx::query_as(insert)
            .bind(&terms.caller)
            .bind(key.as_str())
            .bind(order.key_expires_at())
            .fetch_optional(connection)
    })?;
    if let Some((id,)) = inserted {
        return Ok(Number::New(id));
    }
    let select = "SELECT id FROM order_keys WHERE caller = $1 AND idempotency_key = $2";
    let (id,): (i32,) = in_transaction!(tx, |connection| {
        sqlx::query_as(select).bind(&terms.caller).bind(key.as_str()).fetch_one(connection)
    })?;
    Ok(Number::Earlier(id))
}
