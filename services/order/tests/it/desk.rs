//! Placing orders: each step may be the last before a crash.

use std::sync::atomic::Ordering;

use order_service::domain::{Authority, IdempotencyKey, Order, PlaceError, Status, UserId, Wish};
use time::OffsetDateTime;

use crate::running::Shop;

#[tokio::test]
async fn an_order_is_paid_and_created() {
    let shop = Shop::open().await;
    let order = place(&shop, wish("a", 7, "19.99")).await.unwrap();
    assert_eq!(order.status, Status::Created { payment_id: 1 });
    assert_eq!(shop.orders.get(order.id).await.unwrap(), Some(order));
}

#[tokio::test]
async fn a_declined_payment_declines_the_order_for_good() {
    let shop = Shop::open().await;
    let order = place(&shop, wish("a", 7, "1000.01")).await.unwrap();
    assert_eq!(order.status, Status::Declined { reason: "over the limit".into() });
    assert_eq!(place(&shop, wish("a", 7, "1000.01")).await.unwrap(), order);
    assert_eq!(shop.peers.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn for_an_unknown_user_nothing_is_recorded() {
    let shop = Shop::open().await;
    let error = place(&shop, wish("a", 1000, "1")).await.unwrap_err();
    assert!(matches!(error, PlaceError::UnknownUser(user) if user.number() == 1000));
    // The key was not used up.
    assert!(place(&shop, wish("a", 7, "1")).await.is_ok());
}

#[tokio::test]
async fn without_the_directory_nothing_is_recorded() {
    let shop = Shop::open().await;
    shop.peers.users_are_away.store(true, Ordering::SeqCst);
    let error = place(&shop, wish("a", 7, "1")).await.unwrap_err();
    assert!(matches!(error, PlaceError::Directory(_)));
    shop.peers.users_are_away.store(false, Ordering::SeqCst);
    assert_eq!(place(&shop, wish("a", 7, "1")).await.unwrap().id.number(), 1);
}

#[tokio::test]
async fn without_the_cashier_the_order_is_pending_and_a_repeat_goes_on_with_it() {
    let shop = Shop::open().await;
    shop.peers.payments_are_away.store(true, Ordering::SeqCst);
    let error = place(&shop, wish("a", 7, "1")).await.unwrap_err();
    let PlaceError::Cashier { order, .. } = error else { panic!("{error:?}") };
    let kept = shop.orders.get(order.id).await.unwrap().unwrap();
    assert_eq!(kept.status, Status::Pending);

    // The user is not asked for again: the order stands.
    shop.peers.users_are_away.store(true, Ordering::SeqCst);
    shop.peers.payments_are_away.store(false, Ordering::SeqCst);
    let order = place(&shop, wish("a", 7, "1")).await.unwrap();
    assert_eq!((order.id, order.status), (kept.id, Status::Created { payment_id: 1 }));
}

#[tokio::test]
async fn an_answer_that_is_lost_does_not_pay_twice() {
    let shop = Shop::open().await;
    shop.peers.answers_are_lost.store(true, Ordering::SeqCst);
    assert!(place(&shop, wish("a", 7, "1")).await.is_err());
    assert!(place(&shop, wish("a", 7, "1")).await.is_err());
    shop.peers.answers_are_lost.store(false, Ordering::SeqCst);
    let order = place(&shop, wish("a", 7, "1")).await.unwrap();
    assert_eq!(order.status, Status::Created { payment_id: 1 });
    assert_eq!(shop.peers.paid.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_is_for_one_wish_only() {
    let shop = Shop::open().await;
    place(&shop, wish("a", 7, "1")).await.unwrap();
    for other in [wish("a", 7, "2"), wish("a", 8, "1")] {
        let error = place(&shop, other).await.unwrap_err();
        assert!(matches!(error, PlaceError::KeyReused), "{error:?}");
    }
    let someone_else = Wish { caller: "2".into(), ..wish("a", 7, "2") };
    assert!(place(&shop, someone_else).await.is_ok());
}

#[tokio::test]
async fn requests_with_one_key_that_run_at_once_end_alike_and_pay_once() {
    let shop = Shop::open().await;
    let (a, b, c) = tokio::join!(
        place(&shop, wish("a", 7, "1")),
        place(&shop, wish("a", 7, "1")),
        place(&shop, wish("a", 7, "1")),
    );
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert!(a == b && b == c, "{a:?} {b:?} {c:?}");
    assert_eq!(shop.peers.paid.lock().unwrap().len(), 1);
}

async fn place(shop: &Shop, wish: Wish) -> Result<Order, PlaceError> {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let payment_key = format!("payment-{}", COUNT.fetch_add(1, Ordering::SeqCst));
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    shop.desk.place(wish, payment_key, &Authority::new("token"), now).await
}

fn wish(key: &str, user: i64, amount: &str) -> Wish {
    Wish {
        caller: "1".to_owned(),
        key: IdempotencyKey::try_new(key).unwrap(),
        user_id: UserId::try_new(user).unwrap(),
        amount: amount.parse().unwrap(),
    }
}
