//! etcd's JSON gateway: every call as a POST, messages as JSON.
//!
//! A request is turned into its gRPC message, handed to the services as a client's would be, and the
//! answer turned back. So access control, bounds and figures are those of gRPC, and nothing is said
//! twice. What a message looks like is read from the descriptors of the `.proto` files.

mod schema;

mod from_json;
mod to_json;

mod answers;
mod refusal;

mod paths;

#[cfg(any(feature = "fuzzing", test))]
mod there_and_back;
#[cfg(any(feature = "fuzzing", test))]
pub(crate) use there_and_back::there_and_back;

mod gateway;
pub(super) use gateway::routes;
