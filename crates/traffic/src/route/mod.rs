//! The first rule whose methods and path pattern match a request.

mod methods;
pub use methods::{InvalidMethod, Methods};

mod path;
pub use path::{AmbiguousPath, canonical};

mod pattern;
pub use pattern::{InvalidPattern, Pattern};

mod table;
pub use table::{Builder, Found, InvalidRule, Table};
