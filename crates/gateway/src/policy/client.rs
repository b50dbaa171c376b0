//! Who a client is, for limits.

use std::hash::Hash;
use std::net::IpAddr;

use super::decide::Request;
use crate::LimitKey;

/// Who is counted. Two sorts of keys never share a count.
#[derive(Clone, Copy, Hash)]
pub(crate) enum ClientKey<'r> {
    /// What `X-Client-ID` says.
    Named(&'r [u8]),
    Address(IpAddr),
    /// The subject of a verified token.
    User(&'r str),
}

impl<'r> ClientKey<'r> {
    /// Who sends the request, as far as its head says.
    pub(super) fn of(request: &Request<'r>, key: LimitKey) -> Self {
        match request.headers.client_id {
            Some(id) if !id.is_empty() && key == LimitKey::ClientId => Self::Named(id),
            _ => Self::Address(request.client),
        }
    }

    /// Whether it is a name, of which a client may have many.
    pub(crate) fn is_name(&self) -> bool {
        !matches!(self, Self::Address(_))
    }

    /// The client as other gateways know it too.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Named(id) => format!("id:{}", String::from_utf8_lossy(id)),
            Self::Address(address) => format!("{ADDRESS}{address}"),
            Self::User(id) => format!("user:{id}"),
        }
    }

    /// Whether this is what [`ClientKey::name`] says of a name.
    pub(crate) fn names(name: &str) -> bool {
        !name.starts_with(ADDRESS)
    }
}

const ADDRESS: &str = "ip:";

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant does")]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    #[test]
    fn a_name_an_address_and_a_user_are_never_one_client() {
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        let all = [
            ClientKey::Named(b"127.0.0.1"),
            ClientKey::Address(address),
            ClientKey::User("127.0.0.1"),
        ];
        let hash = |key| BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        for (at, one) in all.iter().enumerate() {
            assert_eq!(one.is_name(), ClientKey::names(&one.name()));
            for other in &all[at + 1..] {
                assert_ne!(hash(*one), hash(*other));
                assert_ne!(one.name(), other.name());
            }
        }
        // A name that looks like an address's key is one of a name.
        assert!(ClientKey::names(&ClientKey::Named(b"ip:127.0.0.1").name()));
    }
}
