//! The gRPC interfaces that more than one crate speaks, generated once from `.proto` files.
//!
//! Clients and servers share these types, so both sides change together. `userservice` carries its
//! `FILE_DESCRIPTOR_SET` for the reflection service.
//!
//! | feature | default | effect |
//! |---|---|---|
//! | `etcd` | off | etcd's version 3 interface: `mvccpb`, `etcdserverpb`, `v3lockpb`, `v3electionpb` |

/// Package `userservice`: the user-service over gRPC.
///
/// ```
/// use regatta_proto::userservice::GetUserRequest;
///
/// let request = GetUserRequest { user_id: 1 };
/// # let _ = request;
/// ```
#[allow(
    missing_docs,
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    reason = "generated code; the .proto file has the comments"
)]
pub mod userservice {
    tonic::include_proto!("userservice");

    /// The descriptors of this package, as gRPC server reflection wants them.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/userservice.bin"));
}

/// Package `mvccpb`: versions of keys and their changes.
#[cfg(feature = "etcd")]
#[allow(
    missing_docs,
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    reason = "generated code; the .proto file has the comments"
)]
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}

/// Package `etcdserverpb`: keys, watches, leases, members and maintenance of etcd.
#[cfg(feature = "etcd")]
#[allow(
    missing_docs,
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    reason = "generated code; the .proto file has the comments"
)]
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");

    /// The descriptors of this package and of the three beside it, which name messages and fields.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/etcd.bin"));
}

/// Package `v3lockpb`: the lock service of etcd.
#[cfg(feature = "etcd")]
#[allow(
    missing_docs,
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    reason = "generated code; the .proto file has the comments"
)]
pub mod v3lockpb {
    tonic::include_proto!("v3lockpb");
}

/// Package `v3electionpb`: the election service of etcd.
#[cfg(feature = "etcd")]
#[allow(
    missing_docs,
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    reason = "generated code; the .proto file has the comments"
)]
pub mod v3electionpb {
    tonic::include_proto!("v3electionpb");
}

#[cfg(all(test, feature = "etcd"))]
mod etcd_tests {
    use prost::Message;

    use super::etcdserverpb::{Compare, WatchResponse};
    use super::mvccpb::KeyValue;

    #[test]
    fn field_numbers_are_those_that_etcds_clients_send() {
        // Key bytes: field number and wire type (protobuf encoding guide).
        let version = KeyValue { key: "k".into(), lease: 1, value: "v".into(), ..<_>::default() };
        assert_eq!(version.encode_to_vec(), [0x0a, 1, b'k', 0x2a, 1, b'v', 0x30, 1]);
        let compare = Compare { range_end: "z".into(), ..Compare::default() };
        assert_eq!(compare.encode_to_vec(), [0x82, 0x04, 1, b'z']);
        let response = WatchResponse { events: vec![<_>::default()], ..WatchResponse::default() };
        assert_eq!(response.encode_to_vec(), [0x5a, 0]);
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::userservice::{
        CreateUserRequest, CreateUserResponse, FILE_DESCRIPTOR_SET, GetUserRequest, GetUserResponse,
    };

    /// Key byte of a field: number and wire type (protobuf encoding guide).
    const fn key(number: u8, wire_type: u8) -> u8 {
        number << 3 | wire_type
    }

    #[test]
    fn field_numbers_are_those_of_the_design() {
        assert_eq!(GetUserRequest { user_id: 7 }.encode_to_vec(), [key(1, 0), 7]);
        let user = GetUserResponse { user_id: 7, name: "n".into(), email: "e".into() };
        assert_eq!(user.encode_to_vec(), [key(1, 0), 7, key(2, 2), 1, b'n', key(3, 2), 1, b'e']);
        let new = CreateUserRequest { name: "n".into(), email: "e".into() };
        assert_eq!(new.encode_to_vec(), [key(1, 2), 1, b'n', key(2, 2), 1, b'e']);
        let made = CreateUserResponse { user_id: 7, status: "c".into() };
        assert_eq!(made.encode_to_vec(), [key(1, 0), 7, key(2, 2), 1, b'c']);
    }

    #[test]
    fn the_descriptor_set_names_the_service() {
        let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let file = set.file.iter().find(|file| file.package() == "userservice").unwrap();
        let methods: Vec<_> =
            file.service[0].method.iter().map(|method| method.name().to_owned()).collect();
        assert_eq!(file.service[0].name(), "UserService");
        assert_eq!(methods, ["GetUser", "CreateUser"]);
    }
}
