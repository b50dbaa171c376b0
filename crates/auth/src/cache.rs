//! Tokens that were verified already.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::Claims;

/// How many tokens are remembered: 1024, which is at most 8 MiB of tokens.
const SLOTS: usize = 1024;

/// Bytes of a token that its place is drawn from: 120 bits of a signature or more.
const HASHED: usize = 20;

/// A table with one place for each hash: bounded without a list of who was used last, and a
/// lookup is one shared read of one slot.
///
/// Also for HS256, whose signature and claims cost some 21,000 instructions a token (callgrind).
///
/// It remembers that a signature was good and what it said, never that a token is still in time:
/// the verifier checks that each time. It dies with its verifier, and with it the keys.
pub(crate) struct Cache {
    // Random, so that nobody can choose tokens that push out another's.
    hasher: RandomState,
    slots: Box<[RwLock<Option<Arc<Remembered>>>]>,
}

struct Remembered {
    token: Box<str>,
    claims: Claims,
}

impl Cache {
    pub(crate) fn new() -> Self {
        let slots = (0..SLOTS).map(|_| RwLock::new(None)).collect();
        Self { hasher: RandomState::new(), slots }
    }

    pub(crate) fn get(&self, token: &str) -> Option<Claims> {
        let slot = self.slot(token).read().unwrap_or_else(PoisonError::into_inner);
        let remembered = slot.as_ref()?;
        // The whole token is compared, and in constant time: a guess learns nothing from how long
        // it took to be wrong.
        verify_slices_are_equal(remembered.token.as_bytes(), token.as_bytes()).ok()?;
        Some(remembered.claims.clone())
    }

    pub(crate) fn put(&self, token: &str, claims: &Claims) {
        let remembered = Arc::new(Remembered { token: token.into(), claims: claims.clone() });
        *self.slot(token).write().unwrap_or_else(PoisonError::into_inner) = Some(remembered);
    }

    fn slot(&self, token: &str) -> &RwLock<Option<Arc<Remembered>>> {
        // The end of its signature is as good as all of it, and only good signatures are put here.
        let end = &token.as_bytes()[token.len().saturating_sub(HASHED)..];
        // The remainder of a number of slots fits.
        &self.slots[(self.hasher.hash_one(end) % SLOTS as u64) as usize]
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_a_token_and_no_other() {
        let cache = Cache::new();
        let claims = Claims::for_test("1", &[]);
        cache.put("a.b.c", &claims);
        assert_eq!(cache.get("a.b.c"), Some(claims));
        for other in ["a.b.d", "a.b.", "a.b.cc", ""] {
            assert_eq!(cache.get(other), None, "{other}");
        }
    }

    #[test]
    fn is_bounded_by_its_slots() {
        let cache = Cache::new();
        let claims = Claims::for_test("1", &[]);
        let tokens: Vec<_> = (0..10 * SLOTS).map(|number| number.to_string()).collect();
        tokens.iter().for_each(|token| cache.put(token, &claims));
        let kept = tokens.iter().filter(|token| cache.get(token).is_some()).count();
        assert!((1..=SLOTS).contains(&kept), "{kept}");
    }
}
