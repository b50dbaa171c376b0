//! Reads requests as the calls do, without a server; for fuzzing.

use http::Uri;

use super::bounds::Bounds;
use super::query::Query;
use super::{decode, path, session, txn};

/// Reads a request as each call of Consul's interface would read it. Says whether any of them took
/// the body.
#[must_use]
pub fn read_idle(target: &str, body: &[u8]) -> bool {
    let bounds =
        Bounds { max_value_bytes: 512 << 10, max_key_bytes: 8 << 10, max_txn_operations: 64 };
    if let Ok(uri) = target.parse::<Uri>() {
        let query = Query::parse(uri.query().unwrap_or_default());
        let _read = (query.blocking(), query.check("dc1"), query.number("cas"), query.sorted());
        if let Ok(key) = path::after(&uri, "/v1/kv") {
            let _read = bounds.check_key(&key);
        }
    }
    let taken = [
        txn::operations(body, &bounds).is_ok(),
        session::spec(body, "node").is_ok(),
        decode::service(body, "node", false).is_ok(),
        decode::check(body, "node").is_ok(),
        decode::update(body).is_ok(),
        decode::catalog(body, "dc1").is_ok(),
        decode::catalog_removal(body, "dc1").is_ok(),
    ];
    taken.contains(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_a_call_takes_is_told_from_one_that_none_does() {
        assert!(read_idle("/v1/kv/a?cas=1", b"[]"));
        assert!(read_idle("/v1/agent/service/register", br#"{"Name":"web"}"#));
        assert!(!read_idle("\0", b"{"));
    }
}
