//! What every store of orders must do.

use std::sync::Arc;

use order_service::domain::{
    Begun, IdempotencyKey, Listing, NewOrder, Order, OrderCommand, OrderId, Orders, Refund, Status,
    Terms, UserId,
};
use order_service::store::EventedOrders;
use regatta::events::CloudEvent;
use time::{Duration, OffsetDateTime};

/// Runs every check, each on an empty store.
pub(crate) async fn all(store: impl AsyncFn() -> EventedOrders) {
    keeps_what_it_is_given(&store().await).await;
    knows_no_order_that_was_not_placed(&store().await).await;
    a_key_places_one_order(&store().await).await;
    a_key_counts_for_its_caller_only(&store().await).await;
    an_order_is_settled_once(&store().await).await;
    a_message_has_its_effect_once(&store().await).await;
    an_order_whose_time_is_over_is_cancelled_and_late_money_goes_back(&store().await).await;
    a_key_is_free_after_a_day(&store().await).await;
    expired_keys_do_not_pile_up(&store().await).await;
    of_many_at_once_with_one_key_one_is_placed(&store().await).await;
    of_many_messages_at_once_none_is_lost(&store().await).await;
}

async fn keeps_what_it_is_given(orders: &EventedOrders) {
    let Begun::New(order) = orders.place(new("1", "a")).await.unwrap() else { panic!("is new") };
    assert_eq!((order.terms.caller.as_str(), order.terms.user_id.number()), ("1", 7));
    assert_eq!(
        (order.terms.amount.to_string().as_str(), &order.status),
        ("19.99", &Status::Created)
    );
    assert_eq!(order.terms.pay_by, now() + Duration::minutes(5));
    assert_eq!(orders.get(order.id).await.unwrap().as_ref(), Some(&order));
    assert_eq!(orders.find("1", &key("a"), now()).await.unwrap(), Some(order));
}

async fn knows_no_order_that_was_not_placed(orders: &EventedOrders) {
    let id = OrderId::try_new(i64::from(i32::MAX)).unwrap();
    assert_eq!(orders.get(id).await.unwrap(), None);
    assert_eq!(orders.find("1", &key("a"), now()).await.unwrap(), None);
    assert!(orders.hear(&message("m"), id, &paid(1)).await.is_err());
    orders.expire(id, now()).await.unwrap();
    assert_eq!(orders.get(id).await.unwrap(), None);
}

async fn a_key_places_one_order(orders: &EventedOrders) {
    let first = begun(orders.place(new("1", "a")).await.unwrap());
    let mut other = new("1", "a");
    other.terms.amount = "7".parse().unwrap();
    assert_eq!(orders.place(other).await.unwrap(), Begun::Earlier(first));
}

async fn a_key_counts_for_its_caller_only(orders: &EventedOrders) {
    let one = begun(orders.place(new("1", "a")).await.unwrap());
    let two = begun(orders.place(new("2", "a")).await.unwrap());
    assert_ne!(one.id, two.id);
    assert_eq!(orders.find("3", &key("a"), now()).await.unwrap(), None);
}

async fn an_order_is_settled_once(orders: &EventedOrders) {
    let yes = begun(orders.place(new("1", "a")).await.unwrap()).id;
    let no = begun(orders.place(new("1", "b")).await.unwrap()).id;
    let decline = OrderCommand::RecordDecline { reason: "too much".into() };
    orders.hear(&message("1"), yes, &paid(5)).await.unwrap();
    orders.hear(&message("2"), no, &decline).await.unwrap();
    assert_eq!(status(orders, yes).await, Status::Paid { payment_id: 5 });
    assert_eq!(status(orders, no).await, Status::Cancelled { reason: "too much".into() });

    orders.hear(&message("3"), yes, &decline).await.unwrap();
    assert_eq!(status(orders, yes).await, Status::Paid { payment_id: 5 });
}

async fn a_message_has_its_effect_once(orders: &EventedOrders) {
    let one = begun(orders.place(new("1", "a")).await.unwrap()).id;
    let two = begun(orders.place(new("1", "b")).await.unwrap()).id;
    orders.hear(&message("same"), one, &paid(1)).await.unwrap();
    // Nobody sends one message about two orders; if one does, the first counts.
    orders.hear(&message("same"), two, &paid(2)).await.unwrap();
    assert_eq!(status(orders, two).await, Status::Created);
    orders.hear(&message("same"), one, &paid(9)).await.unwrap();
    let order = orders.get(one).await.unwrap().unwrap();
    assert_eq!((order.status, order.refund), (Status::Paid { payment_id: 1 }, None));
}

async fn an_order_whose_time_is_over_is_cancelled_and_late_money_goes_back(orders: &EventedOrders) {
    let order = begun(orders.place(new("1", "a")).await.unwrap());
    orders.expire(order.id, order.terms.pay_by - Duration::seconds(1)).await.unwrap();
    assert_eq!(status(orders, order.id).await, Status::Created);
    orders.expire(order.id, order.terms.pay_by).await.unwrap();
    let Status::Cancelled { .. } = status(orders, order.id).await else { panic!("is cancelled") };

    orders.hear(&message("late"), order.id, &paid(3)).await.unwrap();
    assert_eq!(refund(orders, order.id).await, Some(Refund::Requested { payment_id: 3 }));
    let back = OrderCommand::RecordRefund { payment_id: 3 };
    orders.hear(&message("back"), order.id, &back).await.unwrap();
    assert_eq!(refund(orders, order.id).await, Some(Refund::Done { payment_id: 3 }));
}

async fn a_key_is_free_after_a_day(orders: &EventedOrders) {
    let first = begun(orders.place(new("1", "a")).await.unwrap());
    let just_before = now() + NewOrder::KEY_IS_KEPT_FOR - Duration::seconds(1);
    assert!(orders.find("1", &key("a"), just_before).await.unwrap().is_some());
    assert!(matches!(orders.place(at(new("1", "a"), just_before)).await, Ok(Begun::Earlier(_))));

    let after = now() + NewOrder::KEY_IS_KEPT_FOR;
    assert_eq!(orders.find("1", &key("a"), after).await.unwrap(), None);
    let next = orders.place(at(new("1", "a"), after)).await.unwrap();
    let Begun::New(next) = next else { panic!("the key is free") };
    assert_ne!(next.id, first.id);
    assert!(orders.get(first.id).await.unwrap().is_some(), "the order stays without its key");
}

async fn expired_keys_do_not_pile_up(orders: &EventedOrders) {
    for name in ["a", "b", "c"] {
        orders.place(new("1", name)).await.unwrap();
    }
    let after = now() + NewOrder::KEY_IS_KEPT_FOR;
    orders.place(at(new("1", "d"), after)).await.unwrap();
    // With the old clock, a key that was only hidden would be found.
    for name in ["a", "b", "c"] {
        assert_eq!(orders.find("1", &key(name), now()).await.unwrap(), None, "{name}");
    }
}

async fn of_many_at_once_with_one_key_one_is_placed(orders: &EventedOrders) {
    let (a, b, c, d) = tokio::join!(
        orders.place(new("1", "a")),
        orders.place(new("1", "a")),
        orders.place(new("1", "a")),
        orders.place(new("1", "a")),
    );
    let all = [a, b, c, d].map(Result::unwrap);
    assert_eq!(all.iter().filter(|one| matches!(one, Begun::New(_))).count(), 1);
    let ids = all.map(|one| begun(one).id);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

async fn of_many_messages_at_once_none_is_lost(orders: &EventedOrders) {
    let order = begun(orders.place(new("1", "a")).await.unwrap());
    let back = OrderCommand::RecordRefund { payment_id: 1 };
    orders.expire(order.id, order.terms.pay_by).await.unwrap();
    orders.hear(&message("a"), order.id, &paid(1)).await.unwrap();
    let [b, c, d] = ["b", "c", "d"].map(message);
    let (again, done, twice) = (paid(1), back.clone(), back);
    let (b, c, d) = tokio::join!(
        orders.hear(&b, order.id, &again),
        orders.hear(&c, order.id, &done),
        orders.hear(&d, order.id, &twice),
    );
    assert!(b.is_ok() && c.is_ok() && d.is_ok(), "{b:?} {c:?} {d:?}");
    assert_eq!(refund(orders, order.id).await, Some(Refund::Done { payment_id: 1 }));
}

/// What a list shows once its view is there.
pub(crate) async fn lists(orders: &Arc<dyn Orders>, callers: &[&str]) {
    let mut placed = Vec::new();
    for (number, caller) in callers.iter().enumerate() {
        placed.push(begun(orders.place(new(caller, &number.to_string())).await.unwrap()));
    }
    let listing = |caller: Option<&str>, after, limit| Listing {
        caller: caller.map(str::to_owned),
        after,
        limit,
    };
    let all = listing(None, None, 100);
    regatta_testkit::wait_until("the view", std::time::Duration::from_secs(60), async || {
        orders.list(&all).await.unwrap().len() == placed.len()
    })
    .await;
    assert_eq!(orders.list(&all).await.unwrap(), placed);
    let first: Vec<Order> = orders.list(&listing(None, None, 2)).await.unwrap();
    assert_eq!(first, placed[..2]);
    let next = orders.list(&listing(None, Some(placed[1].id), 2)).await.unwrap();
    assert_eq!(next, placed[2..4]);
    let own = orders.list(&listing(Some(callers[0]), None, 100)).await.unwrap();
    assert!(own.iter().all(|order| order.terms.caller == callers[0]) && !own.is_empty());
    let unpaid = orders.unpaid(None, 100).await.unwrap();
    assert_eq!(unpaid, placed, "the time of all is over at once, so their numbers decide");
    let after = Some((placed[1].terms.pay_by, placed[1].id));
    assert_eq!(orders.unpaid(after, 2).await.unwrap(), placed[2..4]);
}

/// An order that is to be paid within five minutes.
fn new(caller: &str, key_text: &str) -> NewOrder {
    let terms = Terms {
        caller: caller.to_owned(),
        user_id: UserId::try_new(7).unwrap(),
        amount: "19.99".parse().unwrap(),
        placed_at: now(),
        pay_by: now() + Duration::minutes(5),
    };
    NewOrder { key: key(key_text), terms }
}

fn at(mut order: NewOrder, time: OffsetDateTime) -> NewOrder {
    order.terms.placed_at = time;
    order
}

fn begun(begun: Begun) -> Order {
    let (Begun::New(order) | Begun::Earlier(order)) = begun;
    order
}

async fn status(orders: &EventedOrders, id: OrderId) -> Status {
    orders.get(id).await.unwrap().unwrap().status
}

async fn refund(orders: &EventedOrders, id: OrderId) -> Option<Refund> {
    orders.get(id).await.unwrap().unwrap().refund
}

fn paid(payment_id: i32) -> OrderCommand {
    OrderCommand::RecordPayment { payment_id }
}

fn message(id: &str) -> CloudEvent {
    CloudEvent::try_new(id, "/payment-service", "payment.made").unwrap()
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::try_new(text).unwrap()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}
