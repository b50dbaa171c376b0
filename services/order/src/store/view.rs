//! The view of orders to list and to watch, folded from their events.

use async_trait::async_trait;
use regatta_database::{Database, Transaction, executing, reading};
use regatta_eventstore::{
    Aggregate as _, Effects, Filter, Projection, ProjectionError, Recorded, decode,
};
use sqlx::AssertSqlSafe;

use super::orders::database_error;
use crate::domain::{
    Amount, Due, Error, Listing, Order, OrderEvent, OrderId, OrderState, Refund, Status, Terms,
    UserId, from_micros, micros,
};

/// The name of the projection; its tables are `order_list_1` and so on.
pub(super) const NAME: &str = "order_list";

/// Keeps the view.
#[derive(Clone, Copy, Debug)]
pub struct OrderList;

#[async_trait]
impl Projection<Transaction> for OrderList {
    fn name(&self) -> &str {
        NAME
    }

    fn revision(&self) -> u32 {
        1
    }

    fn filter(&self) -> Filter {
        Filter::category(OrderState::CATEGORY)
    }

    async fn create(&self, tx: &mut Transaction, generation: u32) -> Result<(), ProjectionError> {
        let table = format!(
            "CREATE TABLE order_list_{generation} (
                 id INTEGER PRIMARY KEY, caller TEXT NOT NULL, user_id INTEGER NOT NULL,
                 hundredths BIGINT NOT NULL, placed_at BIGINT NOT NULL, pay_by BIGINT NOT NULL,
                 status TEXT NOT NULL, reason TEXT, payment_id INTEGER, refund TEXT)"
        );
        let by_caller = format!(
            "CREATE INDEX order_list_{generation}_caller ON order_list_{generation} (caller, id)"
        );
        let unpaid = format!(
            "CREATE INDEX order_list_{generation}_unpaid ON order_list_{generation} (pay_by)
                 WHERE status = 'created'"
        );
        for statement in [table, by_caller, unpaid] {
            run(tx, statement).await?;
        }
        Ok(())
    }

    async fn apply(
        &self,
        tx: &mut Transaction,
        generation: u32,
        event: &Recorded,
        _effects: &mut Effects,
    ) -> Result<(), ProjectionError> {
        let id: i32 = event.stream.id().parse()?;
        let Some(event) = decode::<OrderEvent>(event, &OrderState::upcasters())? else {
            return Ok(());
        };
        match event {
            OrderEvent::Placed { caller, user_id, hundredths, placed_at, pay_by } => {
                let insert = format!(
                    "INSERT INTO order_list_{generation}
                         (id, caller, user_id, hundredths, placed_at, pay_by, status)
                     VALUES ($1, $2, $3, $4, $5, $6, 'created')"
                );
                executing!(tx, |connection| {
                    sqlx::query(AssertSqlSafe(&*insert))
                        .bind(id)
                        .bind(&*caller)
                        .bind(user_id)
                        .bind(hundredths)
                        .bind(placed_at)
                        .bind(pay_by)
                        .execute(connection)
                })?;
            }
            OrderEvent::Paid { payment_id } => {
                let payment_id = Some(payment_id);
                let change = Change { status: Some("paid"), payment_id, ..Change::default() };
                update(tx, (generation, id), change).await?;
            }
            OrderEvent::Cancelled { reason } => {
                let reason = Some(&*reason);
                let change = Change { status: Some("cancelled"), reason, ..Change::default() };
                update(tx, (generation, id), change).await?;
            }
            OrderEvent::RefundRequested { payment_id } => {
                let payment_id = Some(payment_id);
                let change = Change { refund: Some("requested"), payment_id, ..Change::default() };
                update(tx, (generation, id), change).await?;
            }
            OrderEvent::Refunded { .. } => {
                let change = Change { refund: Some("done"), ..Change::default() };
                update(tx, (generation, id), change).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, tx: &mut Transaction, generation: u32) -> Result<(), ProjectionError> {
        run(tx, format!("DROP TABLE order_list_{generation}")).await
    }
}

/// What an event changes of a row; a payment stays the first one.
#[derive(Default)]
struct Change<'a> {
    status: Option<&'a str>,
    reason: Option<&'a str>,
    payment_id: Option<i32>,
    refund: Option<&'a str>,
}

async fn update(
    tx: &mut Transaction,
    (generation, id): (u32, i32),
    change: Change<'_>,
) -> Result<(), ProjectionError> {
    let update = format!(
        "UPDATE order_list_{generation} SET status = coalesce($2, status),
             reason = coalesce($3, reason), payment_id = coalesce(payment_id, $4),
             refund = coalesce($5, refund)
         WHERE id = $1"
    );
    executing!(tx, |connection| {
        sqlx::query(AssertSqlSafe(&*update))
            .bind(id)
            .bind(change.status)
            .bind(change.reason)
            .bind(change.payment_id)
            .bind(change.refund)
            .execute(connection)
    })?;
    Ok(())
}

async fn run(tx: &mut Transaction, statement: String) -> Result<(), ProjectionError> {
    executing!(tx, |connection| sqlx::query(AssertSqlSafe(&*statement)).execute(connection))?;
    Ok(())
}

const COLUMNS: &str =
    "id, caller, user_id, hundredths, placed_at, pay_by, status, reason, payment_id, refund";

type Row = (i32, String, i32, i64, i64, i64, String, Option<String>, Option<i32>, Option<String>);

/// A page of orders, the lowest numbers first.
pub(super) async fn list(
    database: &Database,
    generation: u32,
    listing: &Listing,
) -> Result<Vec<Order>, Error> {
    let whose = if listing.caller.is_some() { "caller = $3 AND" } else { "$3 = '' AND" };
    let select = format!(
        "SELECT {COLUMNS} FROM order_list_{generation} WHERE {whose} id > $1 ORDER BY id LIMIT $2"
    );
    let select = async {
        reading!(database, |pool| {
            sqlx::query_as(AssertSqlSafe(&*select))
                .bind(listing.after.map_or(0, OrderId::number))
                .bind(i64::from(listing.limit))
                .bind(listing.caller.as_deref().unwrap_or_default())
                .fetch_all(pool)
        })
    };
    let rows: Vec<Row> =
        database.query("SELECT", "order_list", select).await.map_err(database_error)?;
    rows.into_iter().map(order).collect()
}

/// Orders that are not paid yet, the one whose time is over first at the front.
pub(super) async fn unpaid(
    database: &Database,
    generation: u32,
    after: Option<Due>,
    limit: u32,
) -> Result<Vec<Order>, Error> {
    let select = format!(
        "SELECT {COLUMNS} FROM order_list_{generation}
         WHERE status = 'created' AND (pay_by, id) > ($2, $3) ORDER BY pay_by, id LIMIT $1"
    );
    let (pay_by, id) = after.map_or((i64::MIN, 0), |(pay_by, id)| (micros(pay_by), id.number()));
    let select = async {
        reading!(database, |pool| {
            sqlx::query_as(AssertSqlSafe(&*select))
                .bind(i64::from(limit))
                .bind(pay_by)
                .bind(id)
                .fetch_all(pool)
        })
    };
    let rows: Vec<Row> =
        database.query("SELECT", "order_list", select).await.map_err(database_error)?;
    rows.into_iter().map(order).collect()
}

fn order(row: Row) -> Result<Order, Error> {
    let (id, caller, user_id, hundredths, placed_at, pay_by, status, reason, payment_id, refund) =
        row;
    let misfit = || Error::Broken(format!("the view of order `{id}` makes no sense").into());
    let status = match (status.as_str(), payment_id, reason) {
        ("created", ..) => Status::Created,
        ("paid", Some(payment_id), _) => Status::Paid { payment_id },
        ("cancelled", _, Some(reason)) => Status::Cancelled { reason },
        _ => return Err(misfit()),
    };
    let refund = match (refund.as_deref(), payment_id) {
        (None, _) => None,
        (Some("requested"), Some(payment_id)) => Some(Refund::Requested { payment_id }),
        (Some("done"), Some(payment_id)) => Some(Refund::Done { payment_id }),
        _ => return Err(misfit()),
    };
    let terms = Terms {
        caller,
        user_id: UserId::try_new(user_id.into()).map_err(|_| misfit())?,
        amount: Amount::from_hundredths(hundredths).map_err(|_| misfit())?,
        placed_at: from_micros(placed_at).ok_or_else(misfit)?,
        pay_by: from_micros(pay_by).ok_or_else(misfit)?,
    };
    Ok(Order { id: OrderId::try_new(id.into()).map_err(|_| misfit())?, terms, status, refund })
}
