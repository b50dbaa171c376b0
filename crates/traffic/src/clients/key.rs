//! Who a client is, for limits.

use std::hash::Hash;
use std::net::IpAddr;

/// Who is counted. Two sorts of keys never share a count.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Key<'r> {
    /// What `X-Client-ID` says.
    Named(&'r [u8]),
    /// Where the call comes from.
    Address(IpAddr),
    /// The subject of a verified token.
    User(&'r str),
    /// What the header of the limit says.
    Header(&'r [u8]),
}

impl<'r> Key<'r> {
    /// A client by what it says it is; one that says nothing, or something empty, by its address.
    pub fn of(said: Option<Self>, address: IpAddr) -> Self {
        match said {
            None | Some(Self::Named(b"") | Self::Header(b"")) => Self::Address(address),
            Some(said) => said,
        }
    }

    /// Whether it is a name, of which a client may have many.
    pub fn is_name(&self) -> bool {
        !matches!(self, Self::Address(_))
    }

    /// The client as other processes know it too.
    pub fn name(&self) -> String {
        match self {
            Self::Named(id) => format!("id:{}", String::from_utf8_lossy(id)),
            Self::Address(address) => format!("{ADDRESS}{address}"),
            Self::User(id) => format!("user:{id}"),
            Self::Header(value) => format!("header:{}", String::from_utf8_lossy(value)),
        }
    }

    /// Whether this is what [`Key::name`] says of a name.
    pub(super) fn names(name: &str) -> bool {
        !name.starts_with(ADDRESS)
    }
}

const ADDRESS: &str = "ip:";

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    #[test]
    fn a_name_an_address_and_a_user_are_never_one_client() {
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        let all = [
            Key::Named(b"127.0.0.1"),
            Key::Address(address),
            Key::User("127.0.0.1"),
            Key::Header(b"127.0.0.1"),
        ];
        let hash = |key| BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        for (at, one) in all.iter().enumerate() {
            assert_eq!(one.is_name(), Key::names(&one.name()));
            for other in &all[at + 1..] {
                assert_ne!(hash(*one), hash(*other));
                assert_ne!(one.name(), other.name());
            }
        }
        // A name that looks like an address's key is one of a name.
        assert!(Key::names(&Key::Named(b"ip:127.0.0.1").name()));
    }

    #[test]
    fn an_empty_name_is_none() {
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        for said in [None, Some(Key::Named(b"")), Some(Key::Header(b""))] {
            let key = Key::of(said, address);
            assert!(matches!(key, Key::Address(it) if it == address), "{said:?}");
        }
        assert!(matches!(Key::of(Some(Key::Named(b"a")), address), Key::Named(b"a")));
    }
}
