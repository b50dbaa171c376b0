//! YAML as operators write it: strict, with lines, units and hints.
//!
//! [`parse`] turns one YAML 1.2 document into a [`Node`] tree whose every key and value knows its
//! line and column ([`Mark`]), and reports duplicate keys, merge keys, tags and further documents
//! as problems instead of guessing. Scalars keep their text: whoever reads one says which type it
//! wants ([`Scalar::boolean`], [`Scalar::integer`], [`parse_duration`], [`parse_bytes`]), so `no`
//! is never a boolean and `012` never a twelve. [`Fields`] reads a map key by key and reports what
//! was left over, with the nearest known name.
//!
//! ```
//! let tree = regatta_yaml::parse("server:\n  port: 8080\n").map_err(|p| p[0].to_string())?;
//! let port = tree.at(&["server", "port"]).ok_or("no port")?;
//! assert_eq!(port.scalar().and_then(|s| s.integer().ok()), Some(8080));
//! assert_eq!(port.mark.to_string(), "2:9");
//! # Ok::<(), String>(())
//! ```
//!
//! It writes no YAML and knows no file names: who opened the file puts its name before the mark.

mod node;
pub use node::{Key, Mark, Node, Scalar, Value};

mod problem;
pub use problem::Problem;

mod parse;
pub use parse::parse;

mod scalar;
pub use scalar::NotThat;

mod duration;
pub use duration::{InvalidDuration, format_duration, parse_duration};

mod bytes;
pub use bytes::{InvalidBytes, format_bytes, parse_bytes};

mod fields;
pub use fields::Fields;

mod nearest;
pub use nearest::nearest;

mod quote;
pub use quote::quote;
