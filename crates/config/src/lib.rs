//! Layered sources to typed settings that know where each value came from.
//!
//! A [`Config`] is layers, each above the last: the YAML file at `CONFIG_PATH`, then environment
//! variables (`DATABASE__HOST` for `database.host`), then a config center ([`CenterLayer`]). A group of settings is a struct made by
//! [`settings!`], which also makes its defaults and its [`Schema`]: one definition for code, for
//! checking and for the commented file of defaults ([`default_file`]). [`Config::load`] reads whole
//! groups and reports all [`Problems`] at once, each with its [`Origin`] and what to do.
//!
//! ```
//! use std::time::Duration;
//! use regatta_config::{Config, settings};
//!
//! settings! {
//!     /// How payments are judged.
//!     pub struct PaymentSettings in "payment" {
//!         /// Payments above it are declined, in euro.
//!         pub limit: u32 = 1000, range 1..=1_000_000;
//!         /// How long the bank may take.
//!         pub timeout: Duration = Duration::from_secs(5), env "BANK_TIMEOUT";
//!     }
//! }
//!
//! let config = Config::builder()
//!     .yaml("config.yaml", "payment:\n  limit: 500\n")
//!     .environment([("BANK_TIMEOUT".to_owned(), "1.5s".to_owned())])
//!     .build()?;
//! let settings: PaymentSettings = config.load()?;
//! assert_eq!(settings.limit, 500);
//! assert_eq!(settings.timeout, Duration::from_millis(1500));
//! assert_eq!(config.origin("payment.limit").unwrap().to_string(), "config.yaml:2:10");
//! # Ok::<(), regatta_config::Problems>(())
//! ```
//!
//! A [`Config`] reads its sources when asked ([`Config::reread`]) and watches nothing by itself. Module
//! [`center`] has the port to a config center and what follows it; [`release`] the rules by which a
//! change of it goes out in stages.
//!
//! | feature | effect | default |
//! |---|---|---|
//! | `conformance` | the checks every config center must pass, for backends' tests | off |

mod config;
pub use config::{Config, DEFAULT_PATH};

mod builder;
pub use builder::{Builder, Presence};

mod origin;
pub use origin::Origin;

mod problem;
pub use problem::{Problem, ProblemKind, Problems};

mod settings;
pub use settings::{Groups, Settings};

mod field;
pub use field::{Field, Reader};

mod fields;
pub use fields::Fields;

mod schema;
pub use schema::{Key, Schema};

mod default_file;
pub use default_file::default_file;

mod reference;
pub use reference::reference;

mod setting;
pub use setting::{Setting, read_scalar};

mod scalars;
pub use scalars::ByteSize;

mod value;
pub use value::{Data, Entry as MapEntry, Value};

mod entries;
pub use entries::Entry;

mod redact;
pub use redact::{is_secret_name, redact_urls};

mod center_layer;
pub use center_layer::CenterLayer;

pub mod center;

pub mod release;

mod stores;
pub use stores::{DatabaseSettings, RedisSettings};

mod environment;
mod macros;
mod unknown;

#[doc(hidden)]
pub use macros::{
    choice as __choice, from_text as __from_text, quoted as __quote, words as __words,
};
