//! An aggregate to test with.

use regatta_eventstore::{Aggregate, DomainEvent, PersonalMembers, SubjectId, Upcasters};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) owner: Option<String>,
    pub(crate) balance: i64,
    pub(crate) events: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub(crate) enum Event {
    Opened { owner: Option<String> },
    Deposited { amount: i64, currency: String },
    Withdrawn { amount: i64 },
}

impl DomainEvent for Event {
    fn revision(event_type: &str) -> u32 {
        if event_type == "Deposited" { 2 } else { 1 }
    }

    fn personal(&self) -> Option<PersonalMembers> {
        let Self::Opened { owner: Some(owner) } = self else { return None };
        let subject = SubjectId::try_new(format!("owner-{}", owner.len())).unwrap();
        Some(PersonalMembers { subject, members: &["owner"] })
    }
}

pub(crate) enum Command {
    Open(&'static str),
    Deposit(i64),
    Withdraw(i64),
    /// Does nothing when it holds enough.
    FillUpTo(i64),
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the account holds {balance} only")]
pub(crate) struct TooLittle {
    pub(crate) balance: i64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = Event;
    type Command = Command;
    type Error = TooLittle;

    fn apply(&mut self, event: &Event) {
        self.events += 1;
        match event {
            Event::Opened { owner } => self.owner = owner.clone(),
            Event::Deposited { amount, .. } => self.balance += amount,
            Event::Withdrawn { amount } => self.balance -= amount,
        }
    }

    fn handle(&self, command: &Command) -> Result<Vec<Event>, TooLittle> {
        let balance = self.balance;
        match *command {
            Command::Open(owner) => Ok(vec![Event::Opened { owner: Some(owner.into()) }]),
            Command::Deposit(amount) => Ok(vec![deposited(amount)]),
            Command::Withdraw(amount) if amount > balance => Err(TooLittle { balance }),
            Command::Withdraw(amount) => Ok(vec![Event::Withdrawn { amount }]),
            Command::FillUpTo(amount) if amount <= balance => Ok(vec![]),
            Command::FillUpTo(amount) => Ok(vec![deposited(amount - balance)]),
        }
    }

    fn upcasters() -> Upcasters {
        Upcasters::default()
            .change("Deposited", 1, |mut data| {
                data["currency"] = json!("EUR");
                Ok(data)
            })
            .ignore("Audited")
    }
}

pub(crate) fn deposited(amount: i64) -> Event {
    Event::Deposited { amount, currency: "EUR".into() }
}
