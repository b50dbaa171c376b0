//! Orders whose time is over, many at once.

use std::sync::Arc;

use order_service::domain::{
    Expiry, IdempotencyKey, NewOrder, OrderId, Orders, Status, Terms, UserId,
};
use order_service::store::{EventedOrders, OrderList};
use regatta::eventstore::{Append, EventStore, Expected, NewEvent, Projector, StreamId};
use regatta_testkit::wait_until;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::running::LIMIT;
use crate::store::open;

const ORDERS: usize = 250;

#[tokio::test(flavor = "multi_thread")]
async fn one_round_cancels_all_that_is_overdue_and_one_that_fails_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let (orders, store) = open(&format!("sqlite://{}/1.db", folder.path().display())).await;
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let mut ids = Vec::new();
    for number in 0..ORDERS {
        orders.place(new(number, now)).await.unwrap();
        ids.push(i64::try_from(number).unwrap() + 1);
    }
    let not_yet = new(ORDERS, now + Duration::seconds(7));
    orders.place(not_yet).await.unwrap();
    let (drain, shared) = (regatta::CancellationToken::new(), Arc::new(store.clone()));
    let projector = Projector::new(shared.clone(), shared, OrderList).run(drain.clone());
    let rounds = async {
        wait_until("the view", LIMIT, async || {
            orders.unpaid(None, 1000).await.unwrap().len() == ORDERS + 1
        })
        .await;
        // What a later release wrote can neither be decided on nor shown: the view stands still.
        let foreign = NewEvent::new(Uuid::now_v7(), "Unheard", json!({}));
        let stream = StreamId::try_new("order", 1).unwrap();
        store.append(&Append::new(stream, Expected::Any, vec![foreign])).await.unwrap();

        let within = Duration::minutes(5);
        let expiry = Expiry::new(Arc::new(orders.clone()), within);
        let round = expiry.round(now + within).await.unwrap();
        assert_eq!((round.failed, round.wait), (1, Duration::seconds(7)));
        assert_eq!(round.first_failure.unwrap().0.number(), 1);
        for id in &ids[1..] {
            let Status::Cancelled { .. } = status(&orders, *id).await else {
                panic!("order {id} is open")
            };
        }
        assert_eq!(status(&orders, 1 + ORDERS as i64).await, Status::Created);
        drain.cancel();
    };
    tokio::join!(projector, rounds);
}

async fn status(orders: &EventedOrders, id: i64) -> Status {
    orders.get(OrderId::try_new(id).unwrap()).await.unwrap().unwrap().status
}

fn new(number: usize, placed_at: OffsetDateTime) -> NewOrder {
    let terms = Terms {
        caller: "1".to_owned(),
        user_id: UserId::try_new(7).unwrap(),
        amount: "19.99".parse().unwrap(),
        placed_at,
        pay_by: placed_at + Duration::minutes(5),
    };
    NewOrder { key: IdempotencyKey::try_new(&number.to_string()).unwrap(), terms }
}
