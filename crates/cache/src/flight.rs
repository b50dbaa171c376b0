//! Single flight: of those who miss the same key at once, one loads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{Invalidate, Key};

/// The loadings under way, one a key at most; bounded by the requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    flights: Mutex<HashMap<Key, Arc<watch::Sender<State>>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Loading,
    Landed(Bytes),
    Lost,
}

/// What a caller has to do.
pub(crate) enum Role<'a> {
    /// Load, then [`Leader::land`]; dropped before that, one of the others becomes the leader.
    Lead(Leader<'a>),
    /// Wait for the one who loads.
    Follow(Follower),
}

pub(crate) struct Leader<'a> {
    flights: &'a Flights,
    key: Key,
    flight: Arc<watch::Sender<State>>,
}

pub(crate) struct Follower(watch::Receiver<State>);

impl Flights {
    pub(crate) fn join(&self, key: &Key) -> Role<'_> {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(key.as_str()) {
            return Role::Follow(Follower(flight.subscribe()));
        }
        let flight = Arc::new(watch::Sender::new(State::Loading));
        flights.insert(key.clone(), flight.clone());
        Role::Lead(Leader { flights: self, key: key.clone(), flight })
    }

    /// Who comes from now on does not share what was begun before this: it may be out of date.
    pub(crate) fn forget(&self, what: &Invalidate) {
        let mut flights = self.lock();
        match what {
            Invalidate::Keys(keys) => keys.iter().for_each(|key| {
                flights.remove(key.as_str());
            }),
            Invalidate::Pattern(pattern) => flights.retain(|key, _| !pattern.fits(key.as_str())),
            // Which tags a loading will have is known when it has ended.
            Invalidate::Tag(_) => flights.clear(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<watch::Sender<State>>>> {
        // Each change of the map is one call.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leader<'_> {
    /// Hands what was loaded to all who wait.
    pub(crate) fn land(self, json: Bytes) {
        self.flight.send_replace(State::Landed(json));
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        // After an invalidation another flight may have its place.
        if flights.get(self.key.as_str()).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            flights.remove(self.key.as_str());
        }
        drop(flights);
        self.flight.send_if_modified(|state| {
            let is_lost = *state == State::Loading;
            if is_lost {
                *state = State::Lost;
            }
            is_lost
        });
    }
}

impl Follower {
    /// What the leader loaded; none when it did not come to it.
    pub(crate) async fn landed(mut self) -> Option<Bytes> {
        let state = self.0.wait_for(|state| *state != State::Loading).await.ok()?;
        match &*state {
            State::Landed(json) => Some(json.clone()),
            State::Loading | State::Lost => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_leads_and_the_others_get_what_it_loads() {
        let flights = Flights::default();
        let leader = lead(&flights);
        let (one, two) = (follow(&flights), follow(&flights));
        leader.land(Bytes::from_static(b"1"));
        assert_eq!(one.landed().await.as_deref(), Some(&b"1"[..]));
        assert_eq!(two.landed().await.as_deref(), Some(&b"1"[..]));
        lead(&flights);
    }

    #[tokio::test]
    async fn a_leader_that_vanishes_leaves_the_lead_to_another() {
        let flights = Flights::default();
        let leader = lead(&flights);
        let follower = follow(&flights);
        drop(leader);
        assert_eq!(follower.landed().await, None);
        lead(&flights);
    }

    #[tokio::test]
    async fn who_comes_after_an_invalidation_does_not_share_what_began_before() {
        let key = || Key::try_new("user:1").unwrap();
        for what in [
            Invalidate::Keys(vec![key()]),
            Invalidate::Pattern(crate::Pattern::try_new("user:*").unwrap()),
            Invalidate::Tag(crate::Tag::try_new("users").unwrap()),
        ] {
            let flights = Flights::default();
            let old = lead(&flights);
            flights.forget(&what);
            let new = lead(&flights);
            drop(old);
            let follower = follow(&flights);
            new.land(Bytes::from_static(b"new"));
            assert_eq!(follower.landed().await.as_deref(), Some(&b"new"[..]), "{what:?}");
        }
    }

    fn lead(flights: &Flights) -> Leader<'_> {
        match flights.join(&Key::try_new("user:1").unwrap()) {
            Role::Lead(leader) => leader,
            Role::Follow(_) => panic!("should lead"),
        }
    }

    fn follow(flights: &Flights) -> Follower {
        match flights.join(&Key::try_new("user:1").unwrap()) {
            Role::Follow(follower) => follower,
            Role::Lead(_) => panic!("should follow"),
        }
    }
}
