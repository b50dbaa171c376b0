//! Counts the calls of clients, here or where all replicas count together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use regatta_resilience::rate_limit::{
    self, Algorithm, Decision, InvalidSettings, Limiter, Settings, SharedLimiter, Steadfast,
    Unavailable,
};

use super::Key;

/// How clients are counted.
#[derive(Clone, Debug)]
pub struct Counting {
    /// How many calls, and in how much memory.
    pub settings: Settings,
    /// Whether the whole limit may come at once, or is paced.
    pub algorithm: Algorithm,
    /// Whether a client may be known by a name. Half of the memory is for names then and half for
    /// addresses; else all of it is for addresses.
    pub by_name: bool,
    /// Where all replicas count together, and what happens while that is out of reach.
    pub shared: Option<(Arc<dyn SharedLimiter>, OnOutage)>,
}

/// What happens to calls while the shared counts are out of reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOutage {
    /// Every call passes: fail open.
    Admit,
    /// None passes: fail closed.
    Refuse,
    /// This process counts by itself, with the whole limit. The default.
    #[default]
    Count,
}

/// Counts the calls of clients. Cheap to clone; all clones are one counter.
///
/// Names and addresses have tables of their own: a name costs nothing to make up, and a table full
/// of them must not keep out who is known by the address only.
#[derive(Clone, Debug)]
pub struct Counter {
    /// None when addresses alone count.
    names: Option<Table>,
    addresses: Table,
}

#[derive(Clone, Debug)]
struct Table {
    local: Limiter,
    shared: Option<Steadfast>,
}

impl Counter {
    /// A counter; `kept` is that of the same counting before, whose counts go on.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_new(counting: &Counting, kept: Option<&Self>) -> Result<Self, InvalidSettings> {
        let bytes = counting.settings.max_bytes;
        let bytes = if counting.by_name { bytes / 2 } else { bytes };
        let table = |kept: Option<&Table>| {
            let table = Table::try_new(counting, bytes, kept);
            table.map_err(|error| if counting.by_name { of_both(error, counting) } else { error })
        };
        let names = kept.and_then(|kept| kept.names.as_ref());
        let names = counting.by_name.then(|| table(names)).transpose()?;
        Ok(Self { names, addresses: table(kept.map(|kept| &kept.addresses))? })
    }

    /// Decides at once; none when that takes asking others.
    pub fn check(&self, client: &Key<'_>, now: Instant) -> Option<Decision> {
        let table = self.table(client.is_name());
        if table.shared.is_some() { None } else { Some(table.local.check(client, now)) }
    }

    /// Decides with the counts of all replicas about the client of this [`Key::name`]; says why they
    /// had no part in it, if they had none.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, the call may or may not be counted.
    pub async fn ask(&self, client: &str, now: Instant) -> (Decision, Option<Unavailable>) {
        let table = self.table(Key::names(client));
        match &table.shared {
            None => (table.local.check(client, now), None),
            Some(shared) => {
                let verdict = shared.check(client).await;
                (verdict.decision, verdict.outage)
            }
        }
    }

    /// The length of a window.
    pub fn window(&self) -> Duration {
        let table = &self.addresses;
        table.shared.as_ref().map_or_else(|| table.local.window(), Steadfast::window)
    }

    fn table(&self, is_name: bool) -> &Table {
        self.names.as_ref().filter(|_| is_name).unwrap_or(&self.addresses)
    }
}

/// The error of one of two tables as one of the setting that both share.
fn of_both(error: InvalidSettings, counting: &Counting) -> InvalidSettings {
    match error {
        InvalidSettings::Memory { least, .. } => InvalidSettings::Memory {
            bytes: counting.settings.max_bytes,
            least: least.saturating_mul(2),
        },
        other => other,
    }
}

impl Table {
    fn try_new(
        counting: &Counting,
        bytes: usize,
        kept: Option<&Self>,
    ) -> Result<Self, InvalidSettings> {
        let local = match kept {
            Some(kept) => kept.local.clone(),
            None => {
                let settings = counting.settings.clone().with_max_bytes(bytes);
                Limiter::try_new(settings, counting.algorithm)?
            }
        };
        let shared = counting.shared.as_ref().map(|(shared, on_outage)| {
            let on_outage = match on_outage {
                OnOutage::Admit => rate_limit::OnOutage::Admit,
                OnOutage::Refuse => rate_limit::OnOutage::Refuse,
                OnOutage::Count => rate_limit::OnOutage::Count(local.clone()),
            };
            Steadfast::new(Arc::clone(shared), on_outage)
        });
        Ok(Self { local, shared })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use async_trait::async_trait;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn counting(shared: Option<(Arc<dyn SharedLimiter>, OnOutage)>) -> Counting {
        let settings = Settings::new(1, WINDOW).with_max_bytes(1 << 20);
        Counting { settings, algorithm: Algorithm::SlidingWindow, by_name: true, shared }
    }

    /// Fills the counter with names, and asks `allowed` for addresses then.
    fn names_keep_out_no_address(counter: &Counter, allowed: impl Fn(&Counter, &Key<'_>) -> bool) {
        let names = 0..100_000_u32;
        let turned_away =
            names.filter(|name| !allowed(counter, &Key::Named(name.to_string().as_bytes())));
        assert!(turned_away.count() > 0, "the table of names is full");
        for last in 0..100 {
            let address = IpAddr::from([10, 0, 0, last]);
            assert!(allowed(counter, &Key::Address(address)), "{address}");
        }
    }

    #[test]
    fn names_that_are_made_up_keep_out_nobody_who_is_known_by_the_address() {
        let counting = counting(None);
        let counter = Counter::try_new(&counting, None).unwrap();
        let now = now();
        names_keep_out_no_address(&counter, |counter, client| {
            counter.check(client, now).unwrap().allowed
        });
        let bytes = counter.addresses.local.bytes() + counter.names.unwrap().local.bytes();
        assert!(bytes <= counting.settings.max_bytes, "{bytes}");
    }

    #[test]
    fn who_obeys_the_error_about_too_little_memory_has_enough() {
        for by_name in [true, false] {
            let settings = Settings::new(100_000, WINDOW).with_max_bytes(4 << 20);
            let mut counting = Counting { settings, by_name, ..counting(None) };
            let error = Counter::try_new(&counting, None).unwrap_err();
            let InvalidSettings::Memory { bytes, least } = error else { panic!("{error}") };
            assert_eq!(bytes, 4 << 20);
            counting.settings.max_bytes = least;
            Counter::try_new(&counting, None).unwrap();
            counting.settings.max_bytes = least - 2;
            Counter::try_new(&counting, None).unwrap_err();
        }
    }

    #[test]
    fn while_the_shared_counts_are_away_they_keep_out_nobody_either() {
        let counting = counting(Some((Arc::new(Away), OnOutage::Count)));
        let counter = Counter::try_new(&counting, None).unwrap();
        names_keep_out_no_address(&counter, |counter, client| ask(counter, client).allowed);
    }

    #[test]
    fn while_the_shared_counts_are_away_what_was_asked_for_is_done() {
        let client = Key::Address(IpAddr::from([10, 0, 0, 1]));
        for (on_outage, expected) in [
            (OnOutage::Admit, [true, true]),
            (OnOutage::Refuse, [false, false]),
            (OnOutage::Count, [true, false]),
        ] {
            let counting = counting(Some((Arc::new(Away), on_outage)));
            let counter = Counter::try_new(&counting, None).unwrap();
            assert!(counter.check(&client, now()).is_none(), "others are asked");
            let allowed = [0, 1].map(|_| ask(&counter, &client).allowed);
            assert_eq!(allowed, expected, "{on_outage:?}");
        }
    }

    #[test]
    fn what_was_counted_before_counts_on() {
        let now = now();
        for client in [Key::Named(b"a"), Key::Address(IpAddr::from([10, 0, 0, 1]))] {
            let counter = Counter::try_new(&counting(None), None).unwrap();
            assert!(counter.check(&client, now).unwrap().allowed);
            let next = Counter::try_new(&counting(None), Some(&counter)).unwrap();
            assert!(!next.check(&client, now).unwrap().allowed, "{client:?}");
        }
    }

    fn ask(counter: &Counter, client: &Key<'_>) -> Decision {
        let name = client.name();
        let asked = pin!(counter.ask(&name, now()));
        match asked.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready((decision, _)) => decision,
            Poll::Pending => panic!("it waits for nobody"),
        }
    }

    /// Shared counts that are out of reach.
    #[derive(Debug)]
    struct Away;

    #[async_trait]
    impl SharedLimiter for Away {
        async fn check(&self, _: &str) -> Result<Decision, Unavailable> {
            Err(Unavailable::Busy { in_flight: 1 })
        }

        fn limit(&self) -> u32 {
            1
        }

        fn window(&self) -> Duration {
            WINDOW
        }
    }

    #[expect(clippy::disallowed_methods, reason = "any instant does")]
    fn now() -> Instant {
        Instant::now()
    }
}
