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
        let table = |kept: Option<&Table>| Table::try_new(counting, bytes, kept);
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

    use super::*;

    #[test]
    fn names_that_are_made_up_keep_out_nobody_who_is_known_by_the_address() {
        let max_bytes = 1 << 20;
        let settings = Settings::new(1, Duration::from_secs(60)).with_max_bytes(max_bytes);
        let algorithm = Algorithm::SlidingWindow;
        let counting = Counting { settings, algorithm, by_name: true, shared: None };
        let counter = Counter::try_new(&counting, None).unwrap();
        let now = now();
        let allowed = |client: &Key<'_>| counter.check(client, now).unwrap().allowed;
        let names = 0..100_000_u32;
        let turned_away = names.filter(|name| !allowed(&Key::Named(&name.to_be_bytes())));
        assert!(turned_away.count() > 0, "the table of names is full");
        for last in 0..100 {
            let address = IpAddr::from([10, 0, 0, last]);
            assert!(allowed(&Key::Address(address)), "{address}");
        }
        let bytes = counter.addresses.local.bytes() + counter.names.unwrap().local.bytes();
        assert!(bytes <= max_bytes, "{bytes}");
    }

    #[expect(clippy::disallowed_methods, reason = "any instant does")]
    fn now() -> Instant {
        Instant::now()
    }
}
