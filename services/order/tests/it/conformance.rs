//! What every store of orders must do.

use std::sync::Arc;

use order_service::domain::{
    Begun, IdempotencyKey, NewOrder, Order, OrderId, Orders, Settlement, Status, UserId,
};
use time::{Duration, OffsetDateTime};

/// Runs every check, each on an empty store.
pub(crate) async fn all(store: impl AsyncFn() -> Arc<dyn Orders>) {
    keeps_what_it_is_given(&*store().await).await;
    knows_no_order_that_was_not_begun(&*store().await).await;
    a_key_begins_one_order(&*store().await).await;
    a_key_counts_for_its_caller_only(&*store().await).await;
    an_order_is_settled_once(&*store().await).await;
    a_key_of_a_settled_order_is_free_after_a_day(&*store().await).await;
    a_key_of_a_pending_order_stays(&*store().await).await;
    expired_keys_do_not_pile_up(&*store().await).await;
    of_many_at_once_with_one_key_one_is_begun(&*store().await).await;
    pending_orders_are_listed_page_by_page(&*store().await).await;
}

async fn keeps_what_it_is_given(orders: &dyn Orders) {
    let Begun::New(order) = orders.begin(new("1", "a")).await.unwrap() else { panic!("is new") };
    assert_eq!((order.caller.as_str(), order.user_id.number()), ("1", 7));
    assert_eq!((order.amount.to_string().as_str(), &order.status), ("19.99", &Status::Pending));
    assert!(order.created_at.year() >= 2024);
    assert_eq!(orders.get(order.id).await.unwrap().as_ref(), Some(&order));
    assert_eq!(orders.find("1", &key("a"), now()).await.unwrap(), Some(order));
}

async fn knows_no_order_that_was_not_begun(orders: &dyn Orders) {
    let id = OrderId::try_new(i64::from(i32::MAX)).unwrap();
    assert_eq!(orders.get(id).await.unwrap(), None);
    assert_eq!(orders.find("1", &key("a"), now()).await.unwrap(), None);
    assert_eq!(orders.settle(id, Settlement::Paid { payment_id: 1 }).await.unwrap(), None);
}

async fn a_key_begins_one_order(orders: &dyn Orders) {
    let first = begun(orders.begin(new("1", "a")).await.unwrap());
    let other = NewOrder { amount: "7".parse().unwrap(), ..new("1", "a") };
    assert_eq!(orders.begin(other).await.unwrap(), Begun::Earlier(first));
}

async fn a_key_counts_for_its_caller_only(orders: &dyn Orders) {
    let one = begun(orders.begin(new("1", "a")).await.unwrap());
    let two = begun(orders.begin(new("2", "a")).await.unwrap());
    assert_ne!(one.id, two.id);
    assert_eq!(orders.find("3", &key("a"), now()).await.unwrap(), None);
}

async fn an_order_is_settled_once(orders: &dyn Orders) {
    let paid = begun(orders.begin(new("1", "a")).await.unwrap());
    let declined = begun(orders.begin(new("1", "b")).await.unwrap());
    let no = Settlement::Declined { reason: "too much".into() };
    let yes = Settlement::Paid { payment_id: 5 };

    let paid = orders.settle(paid.id, yes.clone()).await.unwrap().unwrap();
    assert_eq!(paid.status, Status::Created { payment_id: 5 });
    let declined = orders.settle(declined.id, no.clone()).await.unwrap().unwrap();
    assert_eq!(declined.status, Status::Declined { reason: "too much".into() });

    assert_eq!(orders.settle(paid.id, no).await.unwrap().unwrap(), paid);
    assert_eq!(orders.settle(declined.id, yes).await.unwrap().unwrap(), declined);
    assert_eq!(orders.get(paid.id).await.unwrap(), Some(paid));
}

async fn a_key_of_a_settled_order_is_free_after_a_day(orders: &dyn Orders) {
    let first = begun(orders.begin(new("1", "a")).await.unwrap());
    orders.settle(first.id, Settlement::Paid { payment_id: 1 }).await.unwrap();
    let just_before = now() + NewOrder::KEY_IS_KEPT_FOR - Duration::seconds(1);
    assert!(orders.find("1", &key("a"), just_before).await.unwrap().is_some());
    let later = NewOrder { now: just_before, ..new("1", "a") };
    assert!(matches!(orders.begin(later).await.unwrap(), Begun::Earlier(_)));

    let after = now() + NewOrder::KEY_IS_KEPT_FOR;
    assert_eq!(orders.find("1", &key("a"), after).await.unwrap(), None);
    let next = NewOrder { now: after, ..new("1", "a") };
    let Begun::New(next) = orders.begin(next).await.unwrap() else { panic!("the key is free") };
    assert_ne!(next.id, first.id);
    assert!(orders.get(first.id).await.unwrap().is_some(), "the order stays without its key");
}

async fn a_key_of_a_pending_order_stays(orders: &dyn Orders) {
    let first = begun(orders.begin(new("1", "a")).await.unwrap());
    let much_later = now() + NewOrder::KEY_IS_KEPT_FOR * 30;
    assert_eq!(orders.find("1", &key("a"), much_later).await.unwrap().as_ref(), Some(&first));
    let again = NewOrder { now: much_later, ..new("1", "a") };
    assert_eq!(orders.begin(again).await.unwrap(), Begun::Earlier(first));
}

async fn expired_keys_do_not_pile_up(orders: &dyn Orders) {
    for name in ["a", "b", "c"] {
        let order = begun(orders.begin(new("1", name)).await.unwrap());
        orders.settle(order.id, Settlement::Paid { payment_id: 1 }).await.unwrap();
    }
    let after = now() + NewOrder::KEY_IS_KEPT_FOR;
    orders.begin(NewOrder { now: after, ..new("1", "d") }).await.unwrap();
    // With the old clock, a key that was only hidden would be found.
    for name in ["a", "b", "c"] {
        assert_eq!(orders.find("1", &key(name), now()).await.unwrap(), None, "{name}");
    }
}

async fn of_many_at_once_with_one_key_one_is_begun(orders: &dyn Orders) {
    let (a, b, c, d) = tokio::join!(
        orders.begin(new("1", "a")),
        orders.begin(new("1", "a")),
        orders.begin(new("1", "a")),
        orders.begin(new("1", "a")),
    );
    let all = [a, b, c, d].map(Result::unwrap);
    assert_eq!(all.iter().filter(|one| matches!(one, Begun::New(_))).count(), 1);
    let ids = all.map(|one| begun(one).id);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

async fn pending_orders_are_listed_page_by_page(orders: &dyn Orders) {
    assert_eq!(orders.pending(None, 10).await.unwrap(), []);
    let mut begun_orders = Vec::new();
    for name in ["a", "b", "c", "d"] {
        begun_orders.push(begun(orders.begin(new("1", name)).await.unwrap()));
    }
    let [a, b, c, d] = begun_orders.try_into().unwrap();
    orders.settle(b.id, Settlement::Paid { payment_id: 1 }).await.unwrap();
    let first = orders.pending(None, 2).await.unwrap();
    assert_eq!(first, [a, c.clone()]);
    assert_eq!(orders.pending(Some(c.id), 2).await.unwrap(), std::slice::from_ref(&d));
    assert_eq!(orders.pending(Some(d.id), 2).await.unwrap(), []);
}

/// An order with a payment key of its own.
fn new(caller: &str, key_text: &str) -> NewOrder {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    NewOrder {
        caller: caller.to_owned(),
        key: key(key_text),
        user_id: UserId::try_new(7).unwrap(),
        amount: "19.99".parse().unwrap(),
        payment_key: format!("payment-{number}"),
        now: now(),
    }
}

fn begun(begun: Begun) -> Order {
    let (Begun::New(order) | Begun::Earlier(order)) = begun;
    order
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::try_new(text).unwrap()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}
