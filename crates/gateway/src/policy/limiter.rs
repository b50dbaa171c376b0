//! A limit of the gateway: whom it counts, and their counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use regatta_resilience::rate_limit::{Decision, Settings, SharedLimiter, Unavailable};
use regatta_traffic::clients::{Counter, Counting, Key};

use super::Request;
use crate::{InvalidSettings, LimitKey, RateLimit};

/// A limit of the gateway: whom it counts, and their counts.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    pub(crate) key: LimitKey,
    counter: Counter,
}

impl RateLimit {
    /// Checks that so many requests can be counted in so much memory.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings::BadRateLimit`] says what can be.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        Limiter::try_new(self, None, None).map(drop)
    }
}

impl Limiter {
    /// A limiter under this limit; `kept` is that of the same limit before.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings::BadRateLimit`] when it cannot count so.
    pub(crate) fn try_new(
        limit: &RateLimit,
        shared: Option<&Arc<dyn SharedLimiter>>,
        kept: Option<&Self>,
    ) -> Result<Self, InvalidSettings> {
        let settings = Settings::new(limit.requests.get(), limit.window);
        let counting = Counting {
            settings: settings.with_max_bytes(limit.max_bytes),
            algorithm: limit.algorithm,
            by_name: limit.key != LimitKey::Address,
            shared: shared.map(|shared| (Arc::clone(shared), limit.on_outage)),
        };
        let counter = Counter::try_new(&counting, kept.map(|kept| &kept.counter));
        let counter =
            counter.map_err(|error| InvalidSettings::BadRateLimit { reason: error.to_string() })?;
        Ok(Self { key: limit.key.clone(), counter })
    }

    /// Who sends the request, as far as its head says.
    pub(crate) fn client<'r>(&self, request: &Request<'r>) -> Key<'r> {
        let said = match &self.key {
            LimitKey::ClientId => request.headers.client_id.map(Key::Named),
            LimitKey::Header(name) => (request.field.0)(name).map(Key::Header),
            LimitKey::Address | LimitKey::User => None,
        };
        Key::of(said, request.client)
    }

    /// Decides at once; none when that takes asking others.
    pub(crate) fn check(&self, client: &Key<'_>, now: Instant) -> Option<Decision> {
        self.counter.check(client, now)
    }

    /// Decides with the counts of all gateways; says why they had no part in it, if they had none.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, the request may or may not be counted.
    pub(crate) async fn ask(&self, client: &str, now: Instant) -> (Decision, Option<Unavailable>) {
        self.counter.ask(client, now).await
    }

    pub(crate) fn window(&self) -> Duration {
        self.counter.window()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::num::NonZeroU32;

    use super::*;

    fn limiter(key: LimitKey) -> Limiter {
        let (requests, max_bytes) = (NonZeroU32::MIN, 1 << 20);
        let limit = RateLimit { requests, max_bytes, key, ..RateLimit::default() };
        Limiter::try_new(&limit, None, None).unwrap()
    }

    /// How many of a hundred thousand clients, each with its first request, are let in.
    fn let_in<'k>(limiter: &Limiter, client: impl Fn(&'k [u8; 4]) -> Key<'k>) -> usize {
        static ALL: std::sync::LazyLock<Vec<[u8; 4]>> =
            std::sync::LazyLock::new(|| (0..100_000_u32).map(u32::to_be_bytes).collect());
        let now = now();
        ALL.iter().filter(|id| limiter.check(&client(id), now).unwrap().allowed).count()
    }

    #[test]
    fn names_and_addresses_share_no_memory_and_addresses_have_all_where_they_alone_count() {
        let address = |id: &[u8; 4]| Key::Address(IpAddr::from(*id));
        let alone = let_in(&limiter(LimitKey::Address), address);
        for key in [LimitKey::ClientId, LimitKey::User, LimitKey::Header("x-tenant".into())] {
            let limiter = limiter(key.clone());
            let names = let_in(&limiter, |id| Key::Named(id));
            let beside = let_in(&limiter, address);
            assert!(names < 100_000, "{key:?}: the memory of names is full");
            assert!(beside > names / 2, "{key:?}: {beside} addresses beside {names} names");
            assert!(beside < alone, "{key:?}: {beside} addresses, {alone} alone");
        }
    }

    #[expect(clippy::disallowed_methods, reason = "any instant does")]
    fn now() -> Instant {
        Instant::now()
    }
}
