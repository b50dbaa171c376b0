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

mod gateway;
pub(super) use gateway::routes;
