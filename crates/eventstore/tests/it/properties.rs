//! What holds for any history.

use std::num::NonZeroU64;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use regatta_eventstore::{Aggregate, Cause, MemoryStore, Repository};
use tokio::runtime::Builder;

use crate::account::{Account, Command};

#[derive(Clone, Debug)]
enum Asked {
    Deposit(i64),
    Withdraw(i64),
    FillUpTo(i64),
}

proptest! {
    #[test]
    fn the_state_is_the_fold_of_its_events_with_snapshots_and_without(
        asked in vec(asked(), 0..30),
        every in 1_u64..6,
    ) {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let store = Arc::new(MemoryStore::default());
            let plain = Repository::<Account>::new(store.clone());
            let with = plain.clone().with_snapshots(NonZeroU64::new(every).unwrap());
            let mut folded = Account::default();
            for asked in asked {
                let command = match asked {
                    Asked::Deposit(amount) => Command::Deposit(amount),
                    Asked::Withdraw(amount) => Command::Withdraw(amount),
                    Asked::FillUpTo(amount) => Command::FillUpTo(amount),
                };
                if let Ok(done) = with.execute("1", &command, &Cause::default()).await {
                    done.events.iter().for_each(|event| folded.apply(event));
                    assert_eq!(done.aggregate, folded);
                }
                assert!(folded.balance >= 0);
            }
            let (with, plain) = (with.load("1").await.unwrap(), plain.load("1").await.unwrap());
            assert_eq!(with.aggregate, folded);
            assert_eq!((plain.aggregate, plain.version), (folded, with.version));
        });
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        (0_i64..100).prop_map(Asked::Deposit),
        (0_i64..100).prop_map(Asked::Withdraw),
        (0_i64..100).prop_map(Asked::FillUpTo),
    ]
}
