//! Which rule a request falls under: the first whose methods and path pattern match.

mod methods;
pub use methods::{InvalidMethod, Methods};

mod path;
pub use path::{AmbiguousPath, canonical};

mod pattern;
pub use pattern::{InvalidPattern, Pattern};

mod table;
pub use table::{Builder, Found, InvalidRule, Table};
