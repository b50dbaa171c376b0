//! Given, when, then.

use std::panic::catch_unwind;

use regatta_eventstore::given;

use crate::account::{Account, Command, Event, TooLittle, deposited};

#[test]
fn an_aggregate_decides_on_what_has_happened() {
    given::<Account>([deposited(50)])
        .when(&Command::Withdraw(20))
        .then([Event::Withdrawn { amount: 20 }]);
    given::<Account>([deposited(50)])
        .when(&Command::Withdraw(60))
        .then_refused(&TooLittle { balance: 50 });
    given::<Account>([deposited(50)]).when(&Command::FillUpTo(50)).then_nothing();
    assert_eq!(given::<Account>([deposited(50)]).into_aggregate().balance, 50);
}

#[test]
fn another_outcome_fails_the_test() {
    let when = || given::<Account>([deposited(50)]).when(&Command::Withdraw(20));
    assert!(catch_unwind(|| when().then([Event::Withdrawn { amount: 21 }])).is_err());
    assert!(catch_unwind(|| when().then_nothing()).is_err());
    assert!(catch_unwind(|| when().then_refused(&TooLittle { balance: 50 })).is_err());
    let refused = || given::<Account>([]).when(&Command::Withdraw(20));
    assert!(catch_unwind(|| refused().then([])).is_err());
    assert!(catch_unwind(|| refused().then_refused(&TooLittle { balance: 1 })).is_err());
}
