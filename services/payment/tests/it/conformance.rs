//! What every store of payments must do.

use std::sync::Arc;

use payment_service::domain::{
    IdempotencyKey, NewPayment, OrderId, Outcome, PaymentId, Payments, Recorded,
};

/// Runs every check, each on an empty store.
pub(crate) async fn all(store: impl AsyncFn() -> Arc<dyn Payments>) {
    keeps_what_it_is_given(&*store().await).await;
    knows_no_payment_that_was_not_recorded(&*store().await).await;
    a_key_pays_once(&*store().await).await;
    a_key_counts_for_its_payer_only(&*store().await).await;
    of_many_at_once_with_one_key_one_is_recorded(&*store().await).await;
}

async fn keeps_what_it_is_given(payments: &dyn Payments) {
    let declined = Outcome::Declined { reason: "too much".into() };
    for (key, outcome) in [("a", Outcome::Paid), ("b", declined)] {
        let new = NewPayment { outcome: outcome.clone(), ..payment("1", key) };
        let Recorded::New(kept) = payments.record(new.clone()).await.unwrap() else {
            panic!("was not recorded before");
        };
        assert!(kept.is_the_same(&new));
        assert_eq!((kept.payer.as_str(), &kept.outcome), ("1", &outcome));
        assert!(kept.created_at.year() >= 2024);
        assert_eq!(payments.get(kept.id).await.unwrap(), Some(kept));
    }
}

async fn knows_no_payment_that_was_not_recorded(payments: &dyn Payments) {
    for number in [1, i64::from(i32::MAX)] {
        assert_eq!(payments.get(PaymentId::try_new(number).unwrap()).await.unwrap(), None);
    }
}

async fn a_key_pays_once(payments: &dyn Payments) {
    let first = recorded(payments.record(payment("1", "a")).await.unwrap());
    let other = NewPayment { amount: "7".parse().unwrap(), ..payment("1", "a") };
    for again in [payment("1", "a"), other] {
        let again = payments.record(again).await.unwrap();
        assert_eq!(again, Recorded::Earlier(first.clone()));
    }
}

async fn a_key_counts_for_its_payer_only(payments: &dyn Payments) {
    let one = recorded(payments.record(payment("1", "a")).await.unwrap());
    let two = recorded(payments.record(payment("2", "a")).await.unwrap());
    assert_ne!(one.id, two.id);
    assert_eq!(two.payer, "2");
}

async fn of_many_at_once_with_one_key_one_is_recorded(payments: &dyn Payments) {
    let (a, b, c, d) = tokio::join!(
        payments.record(payment("1", "a")),
        payments.record(payment("1", "a")),
        payments.record(payment("1", "a")),
        payments.record(payment("1", "a")),
    );
    let all = [a, b, c, d].map(Result::unwrap);
    assert_eq!(all.iter().filter(|one| matches!(one, Recorded::New(_))).count(), 1);
    let ids = all.map(|one| recorded(one).id);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

fn payment(payer: &str, key: &str) -> NewPayment {
    NewPayment {
        payer: payer.to_owned(),
        key: IdempotencyKey::try_new(key).unwrap(),
        order_id: OrderId::try_new(1).unwrap(),
        amount: "19.99".parse().unwrap(),
        outcome: Outcome::Paid,
    }
}

fn recorded(recorded: Recorded) -> payment_service::domain::Payment {
    let (Recorded::New(payment) | Recorded::Earlier(payment)) = recorded;
    payment
}
