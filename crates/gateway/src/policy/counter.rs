//! Counts the requests of clients, here or where all gateways count together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use regatta_resilience::rate_limit::{
    self, Decision, Limiter, OnOutage, Settings, SharedLimiter, Steadfast,
};

use super::client::ClientKey;
use crate::{InvalidSettings, LimitKey, RateLimit};

/// Counts the requests of clients.
///
/// Names and addresses have tables of their own: a name costs nothing to make up, and a table full
/// of them must not keep out who is known by the address only.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    pub(crate) key: LimitKey,
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
    /// A counter under this limit; `kept` is that of the same limit before.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings::BadRateLimit`] when it cannot count so.
    pub(crate) fn try_new(
        limit: RateLimit,
        shared: Option<&Arc<dyn SharedLimiter>>,
        kept: Option<&Self>,
    ) -> Result<Self, InvalidSettings> {
        let is_shared_table = limit.key != LimitKey::Address;
        let bytes = if is_shared_table { limit.max_bytes / 2 } else { limit.max_bytes };
        let table = |kept: Option<&Table>| Table::try_new(limit, bytes, shared, kept);
        let names = kept.and_then(|kept| kept.names.as_ref());
        let names = is_shared_table.then(|| table(names)).transpose()?;
        let addresses = table(kept.map(|kept| &kept.addresses))?;
        Ok(Self { key: limit.key, names, addresses })
    }

    /// Decides at once; none when that takes asking others.
    pub(crate) fn check(&self, client: &ClientKey<'_>, now: Instant) -> Option<Decision> {
        let table = self.table(client.is_name());
        if table.shared.is_some() { None } else { Some(table.local.check(client, now)) }
    }

    /// Decides with the counts of all gateways; says whether they were out of reach.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, the request may or may not be counted.
    pub(crate) async fn ask(&self, client: &str, now: Instant) -> (Decision, bool) {
        let table = self.table(ClientKey::names(client));
        match &table.shared {
            None => (table.local.check(client, now), false),
            Some(shared) => {
                let verdict = shared.check(client).await;
                if let Some(outage) = &verdict.outage {
                    tracing::debug!(error = %regatta_core::Chain(outage), "shared limits");
                }
                (verdict.decision, verdict.outage.is_some())
            }
        }
    }

    pub(crate) fn window(&self) -> Duration {
        let table = &self.addresses;
        table.shared.as_ref().map_or_else(|| table.local.window(), Steadfast::window)
    }

    fn table(&self, is_name: bool) -> &Table {
        self.names.as_ref().filter(|_| is_name).unwrap_or(&self.addresses)
    }
}

impl Table {
    fn try_new(
        limit: RateLimit,
        bytes: usize,
        shared: Option<&Arc<dyn SharedLimiter>>,
        kept: Option<&Self>,
    ) -> Result<Self, InvalidSettings> {
        let local = match kept {
            Some(kept) => kept.local.clone(),
            None => {
                let settings =
                    Settings::new(limit.requests.get(), limit.window).with_max_bytes(bytes);
                let bad = |error: rate_limit::InvalidSettings| InvalidSettings::BadRateLimit {
                    reason: error.to_string(),
                };
                Limiter::try_new(settings, limit.algorithm).map_err(bad)?
            }
        };
        let on_outage = match limit.on_outage {
            crate::OnOutage::Admit => OnOutage::Admit,
            crate::OnOutage::Refuse => OnOutage::Refuse,
            crate::OnOutage::Count => OnOutage::Count(local.clone()),
        };
        let shared = shared.map(|shared| Steadfast::new(Arc::clone(shared), on_outage));
        Ok(Self { local, shared })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn names_that_are_made_up_keep_out_nobody_who_is_known_by_the_address() {
        let mut limit = RateLimit::default();
        (limit.requests, limit.max_bytes) = (std::num::NonZeroU32::MIN, 1 << 20);
        let counter = Counter::try_new(limit, None, None).unwrap();
        let now = crate::policy::client::now();
        let allowed = |client: &ClientKey<'_>| counter.check(client, now).unwrap().allowed;
        let names = 0..100_000_u32;
        let turned_away = names.filter(|name| !allowed(&ClientKey::Named(&name.to_be_bytes())));
        assert!(turned_away.count() > 0, "the table of names is full");
        for last in 0..100 {
            let address = IpAddr::from([10, 0, 0, last]);
            assert!(allowed(&ClientKey::Address(address)), "{address}");
        }
        let bytes = counter.addresses.local.bytes() + counter.names.unwrap().local.bytes();
        assert!(bytes <= limit.max_bytes, "{bytes}");
    }
}
