//! Access control of etcd's interface: who a request is from, and what it needs.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use tonic::Status;

use super::app::App;
use crate::access::{Denied, Grant, Level, Resource, Who};
use crate::kv::{KeyRange, Operation, Put, Txn};

/// Where clients put their token: etcd's own name, and the one that HTTP has for it.
const TOKEN: [&str; 2] = ["token", "authorization"];
/// The one call of somebody whose token has ended.
const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// Who a request is from.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    grant: Arc<Grant>,
    who: Who,
    /// Whether it presented no token although access is controlled.
    is_anonymous: bool,
}

/// Finds out who a request is from.
pub(crate) async fn identify(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_login = request.uri().path() == AUTHENTICATE;
    let token = token(request.headers()).filter(|_| !is_login);
    let caller = app.access.who(now(), token).and_then(|who| app.by(who));
    let mut request = request;
    match caller.map_err(|denied| app.unknown(denied)) {
        Ok(caller) => _ = request.extensions_mut().insert(caller),
        Err(status) => return status.into_http(),
    }
    next.run(request).await
}

/// The moment that sessions are counted from.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The token that a request presents.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &&str| headers.get(*name).and_then(|value| value.to_str().ok());
    let token = TOKEN.iter().find_map(text)?;
    Some(token.strip_prefix("Bearer ").unwrap_or(token)).filter(|token| !token.is_empty())
}

impl App {
    fn by(&self, who: Who) -> Result<Caller, Denied> {
        let grant = self.access.grant_to(&who)?;
        let is_anonymous = self.access.is_enabled() && matches!(who, Who::Anybody);
        Ok(Caller { grant, who, is_anonymous })
    }

    fn unknown(&self, denied: Denied) -> Status {
        self.metrics.denied("etcd");
        match denied {
            Denied::UnknownToken | Denied::WrongPassword | Denied::NotEnabled => {
                Status::unauthenticated("etcdserver: invalid auth token")
            }
        }
    }

    /// A caller whose stream goes on, with what it may by now.
    pub(crate) fn again(&self, caller: &Caller) -> Result<Caller, Status> {
        self.by(caller.who.clone()).map_err(|denied| self.unknown(denied))
    }

    /// Waits until a caller may no longer do so much with a range, and says why.
    ///
    /// Cancel safe: a dropped call has only waited.
    pub(crate) async fn until_denied(
        &self,
        caller: &Caller,
        range: &KeyRange,
        level: Level,
    ) -> Status {
        let mut changes = self.access.changes();
        loop {
            // First at once: there may have been a change since the caller was identified.
            let verdict = self.again(caller).and_then(|by| self.check_range(&by, range, level));
            if let Err(denied) = verdict {
                return denied;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Who a request is from, as `identify` found out.
    pub(crate) fn caller<T>(&self, request: &tonic::Request<T>) -> Result<Caller, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        caller.ok_or_else(|| Status::internal("the caller was not identified"))
    }

    /// Whether so much is allowed for every key of a lease, which end with it.
    pub(crate) fn check_lease(&self, caller: &Caller, id: i64, level: Level) -> Result<(), Status> {
        if caller.grant.rules.is_management() {
            return Ok(());
        }
        let is_allowed = self.store.read(|state, _| {
            let lease = state.leases().get(id);
            let mut keys = lease.into_iter().flat_map(|lease| &lease.keys);
            keys.all(|key| caller.grant.rules.allows(Resource::Key, key, level))
        });
        self.verdict(caller, is_allowed)
    }

    /// Whether a change is allowed, and what its answer shows.
    pub(crate) fn check_operation(
        &self,
        caller: &Caller,
        operation: &Operation,
    ) -> Result<(), Status> {
        match operation {
            Operation::Range(query) => self.check_range(caller, &query.range, Level::Read),
            Operation::Put(put) => self.check_put(caller, put),
            Operation::Delete(delete) => self.check_range(caller, &delete.range, Level::Write),
            Operation::Txn(txn) => self.check_txn(caller, txn),
        }
    }

    /// Both lists: which one is done may tell what is in keys that must not be read.
    pub(crate) fn check_txn(&self, caller: &Caller, txn: &Txn) -> Result<(), Status> {
        if caller.grant.rules.is_management() {
            return Ok(());
        }
        for compare in &txn.compares {
            self.check_range(caller, &compare.range, Level::Read)?;
        }
        let mut operations = txn.success.iter().chain(&txn.failure);
        operations.try_for_each(|operation| self.check_operation(caller, operation))
    }

    pub(crate) fn check_range(
        &self,
        caller: &Caller,
        range: &KeyRange,
        level: Level,
    ) -> Result<(), Status> {
        self.verdict(caller, caller.grant.rules.allows_range(range, level))
    }

    /// For queues: their keys begin with the queue's name.
    pub(crate) fn check_prefix(
        &self,
        caller: &Caller,
        prefix: &[u8],
        level: Level,
    ) -> Result<(), Status> {
        let range = KeyRange::prefix(Bytes::copy_from_slice(prefix));
        self.check_range(caller, &range, level)
    }

    /// For what concerns everybody.
    pub(crate) fn check_management(&self, caller: &Caller) -> Result<(), Status> {
        self.verdict(caller, caller.grant.rules.is_management())
    }

    /// For what concerns nobody's keys, such as a new lease.
    pub(crate) fn check_known(&self, caller: &Caller) -> Result<(), Status> {
        self.verdict(caller, !caller.is_anonymous || caller.grant.rules.is_management())
    }

    /// Who may write may read, so that `prev_kv` needs nothing more. A lease ends all its keys together, so one
    /// may be attached only by who may end them.
    fn check_put(&self, caller: &Caller, put: &Put) -> Result<(), Status> {
        let key = KeyRange::only(put.key.clone());
        self.check_range(caller, &key, Level::Write)?;
        match put.lease {
            None | Some(0) => Ok(()),
            Some(lease) => self.check_lease(caller, lease, Level::Write),
        }
    }

    fn verdict(&self, caller: &Caller, is_allowed: bool) -> Result<(), Status> {
        if is_allowed {
            return Ok(());
        }
        self.metrics.denied("etcd");
        // etcd's words for nobody and for somebody.
        Err(match caller.is_anonymous {
            true => Status::invalid_argument("etcdserver: user name is empty"),
            false => Status::permission_denied("etcdserver: permission denied"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_in_one_of_two_headers() {
        let token = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            token(&headers).map(str::to_owned)
        };
        assert_eq!(token("token", "abc.1").as_deref(), Some("abc.1"));
        assert_eq!(token("authorization", "abc").as_deref(), Some("abc"));
        assert_eq!(token("authorization", "Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("token", ""), None);
        assert_eq!(token("other", "abc"), None);
    }
}
