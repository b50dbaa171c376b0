//! Orders that nobody came back for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use order_service::domain::{
    Authority, Deputy, IdempotencyKey, PeerError, PlaceError, Status, Sweep, Swept, UserId, Wish,
};
use time::OffsetDateTime;

use crate::running::Shop;

#[tokio::test]
async fn an_order_that_was_paid_and_not_settled_is_settled_without_paying_again() {
    let shop = Shop::open().await;
    shop.peers.answers_are_lost.store(true, Ordering::SeqCst);
    let id = pending(&shop, "a").await;
    shop.peers.answers_are_lost.store(false, Ordering::SeqCst);

    let swept = sweep(&shop).run(later()).await.unwrap();
    assert_eq!(swept, Swept { settled: 1, left: 0 });
    let order = shop.orders.get(id).await.unwrap().unwrap();
    assert_eq!(order.status, Status::Created { payment_id: 1 });
    assert_eq!(shop.peers.paid.lock().unwrap().len(), 1);
    assert_eq!(sweep(&shop).run(later()).await.unwrap(), Swept::default());
}

#[tokio::test]
async fn an_order_that_is_young_is_left_to_its_client() {
    let shop = Shop::open().await;
    shop.peers.payments_are_away.store(true, Ordering::SeqCst);
    let id = pending(&shop, "a").await;
    shop.peers.payments_are_away.store(false, Ordering::SeqCst);
    let begun = shop.orders.get(id).await.unwrap().unwrap().created_at;
    assert_eq!(sweep(&shop).run(begun).await.unwrap(), Swept::default());
    assert_eq!(shop.orders.get(id).await.unwrap().unwrap().status, Status::Pending);
}

#[tokio::test]
async fn a_sweep_ends_early_while_the_cashier_is_away() {
    let shop = Shop::open().await;
    shop.peers.payments_are_away.store(true, Ordering::SeqCst);
    for key in ["a", "b", "c"] {
        pending(&shop, key).await;
    }
    let asked = shop.peers.asked.load(Ordering::SeqCst);
    assert_eq!(sweep(&shop).run(later()).await.unwrap(), Swept { settled: 0, left: 1 });
    assert_eq!(shop.peers.asked.load(Ordering::SeqCst), asked + 1);
}

#[tokio::test]
async fn more_orders_than_a_page_are_all_gone_through() {
    let shop = Shop::open().await;
    shop.peers.payments_are_away.store(true, Ordering::SeqCst);
    for number in 0..205 {
        pending(&shop, &number.to_string()).await;
    }
    shop.peers.payments_are_away.store(false, Ordering::SeqCst);
    assert_eq!(sweep(&shop).run(later()).await.unwrap(), Swept { settled: 205, left: 0 });
    assert_eq!(shop.peers.paid.lock().unwrap().len(), 205);
}

#[tokio::test]
async fn an_order_nobody_may_act_for_is_left_and_does_not_hold_up_the_others() {
    let shop = Shop::open().await;
    shop.peers.payments_are_away.store(true, Ordering::SeqCst);
    for caller in ["nobody", "1"] {
        let wish = Wish { caller: caller.to_owned(), ..wish("a") };
        place(&shop, wish).await.unwrap_err();
    }
    shop.peers.payments_are_away.store(false, Ordering::SeqCst);
    assert_eq!(sweep(&shop).run(later()).await.unwrap(), Swept { settled: 1, left: 1 });
}

/// Acts for everybody but `nobody`.
struct Anyone;

impl Deputy for Anyone {
    fn authority(&self, caller: &str) -> Result<Authority, PeerError> {
        match caller {
            "nobody" => Err(PeerError::Broken { service: "tokens", source: "no".into() }),
            caller => Ok(Authority::new(caller)),
        }
    }
}

fn sweep(shop: &Shop) -> Sweep {
    Sweep::new(shop.desk.clone(), Arc::new(Anyone))
}

/// After any order of these tests was begun.
fn later() -> OffsetDateTime {
    OffsetDateTime::from(regatta::auth::now()) + time::Duration::hours(1)
}

async fn pending(shop: &Shop, key: &str) -> order_service::domain::OrderId {
    match place(shop, wish(key)).await {
        Err(PlaceError::Cashier { order, .. }) => order.id,
        other => panic!("not pending: {other:?}"),
    }
}

async fn place(shop: &Shop, wish: Wish) -> Result<order_service::domain::Order, PlaceError> {
    let payment_key = format!("payment-{}-{}", wish.caller, wish.key.as_str());
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    shop.desk.place(wish, payment_key, &Authority::new("token"), now).await
}

fn wish(key: &str) -> Wish {
    Wish {
        caller: "1".to_owned(),
        key: IdempotencyKey::try_new(key).unwrap(),
        user_id: UserId::try_new(7).unwrap(),
        amount: "1".parse().unwrap(),
    }
}
