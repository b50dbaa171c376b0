//! Groups of settings: a struct, its defaults and its schema from one definition.

use crate::{Reader, Schema};

/// A group of settings; made by [`crate::settings!`].
pub trait Settings: Groups + Default {
    /// What the group says of itself.
    fn schema() -> Schema;
}

/// One or several groups that are loaded at once: a settings struct, or a tuple of up to twelve.
pub trait Groups: Sized {
    /// Adds the schemas of all its groups.
    fn schemas(into: &mut Vec<Schema>);

    /// Reads all its groups; what is wrong is in the reader, and defaults stand in its place.
    fn read(reader: &mut Reader<'_>) -> Self;
}

/// Nothing: for a program with no settings of its own.
impl Groups for () {
    fn schemas(_: &mut Vec<Schema>) {}

    fn read(_: &mut Reader<'_>) {}
}

macro_rules! tuples {
    ($(($($name:ident),+))*) => {$(
        impl<$($name: Groups),+> Groups for ($($name,)+) {
            fn schemas(into: &mut Vec<Schema>) {
                $($name::schemas(into);)+
            }

            fn read(reader: &mut Reader<'_>) -> Self {
                ($($name::read(reader),)+)
            }
        }
    )*};
}

tuples! {
    (A)
    (A, B)
    (A, B, C)
    (A, B, C, D)
    (A, B, C, D, E)
    (A, B, C, D, E, F)
    (A, B, C, D, E, F, G)
    (A, B, C, D, E, F, G, H)
    (A, B, C, D, E, F, G, H, I)
    (A, B, C, D, E, F, G, H, I, J)
    (A, B, C, D, E, F, G, H, I, J, K)
    (A, B, C, D, E, F, G, H, I, J, K, L)
}

/// Makes a struct of settings with its defaults and its schema.
///
/// `in "group"` is the dotted key of the group. Each setting is `name: Type = default, options;`
/// where a missing default is the type's own (`None` for an `Option`). Options, each after a comma:
///
/// | option | effect |
/// |---|---|
/// | `env "PORT"` | a further environment variable, weaker than `GROUP__NAME`; may be repeated |
/// | `required` | some layer must set it |
/// | `secret` | shown as `***` (type `Secret` always is) |
/// | `range 1..=65535` | values outside are refused |
/// | `validate function` | refused when `fn(&T) -> Result<(), impl Display>` says so |
///
/// ```
/// use regatta_config::{Settings, settings};
///
/// settings! {
///     /// How the server listens.
///     #[derive(PartialEq)]
///     pub struct ServerSettings in "server" {
///         /// Port to listen on.
///         pub port: u16 = 8080, env "PORT", range 1..;
///         /// Name in logs.
///         pub name: Option<String>;
///     }
/// }
/// assert_eq!(ServerSettings::default().port, 8080);
/// assert_eq!(ServerSettings::schema().keys[0].variables(), ["SERVER__PORT", "PORT"]);
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $doc:expr])*
        $(#[derive($($derive:path),* $(,)?)])?
        $vis:vis struct $struct:ident in $group:literal {
            $(
                $(#[doc = $field_doc:expr])*
                $field_vis:vis $field:ident: $type:ty
                    $(= $default:expr)? $(, $option:ident $($argument:expr)?)*;
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, $($($derive),*)?)]
        $vis struct $struct {
            $(
                $(#[doc = $field_doc])*
                $field_vis $field: $type,
            )*
        }

        impl ::core::default::Default for $struct {
            fn default() -> Self {
                Self { $($field: $crate::__default!($($default)?),)* }
            }
        }

        impl $crate::Settings for $struct {
            fn schema() -> $crate::Schema {
                $crate::Schema::new($group, &[$($doc),*], ::std::vec![$(
                    $crate::Field::<$type>::new(
                        $group,
                        ::core::stringify!($field),
                        &[$($field_doc),*],
                        $crate::__default!($($default)?),
                    )
                    $(.$option($($argument)?))*
                    .into_key(),
                )*])
            }
        }

        impl $crate::Groups for $struct {
            fn schemas(into: &mut ::std::vec::Vec<$crate::Schema>) {
                into.push(<Self as $crate::Settings>::schema());
            }

            fn read(reader: &mut $crate::Reader<'_>) -> Self {
                Self {$(
                    $field: reader.read(
                        $crate::Field::<$type>::new(
                            $group,
                            ::core::stringify!($field),
                            &[$($field_doc),*],
                            $crate::__default!($($default)?),
                        )
                        $(.$option($($argument)?))*
                    ),
                )*}
            }
        }
    };
}

/// The default of a setting; part of [`settings!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __default {
    () => {
        ::core::default::Default::default()
    };
    ($default:expr) => {
        $default
    };
}

/// Makes an enum whose values are settings, each written as its word.
///
/// ```
/// use regatta_config::{Config, choices};
///
/// choices! {
///     /// How log lines look.
///     #[derive(Default)]
///     pub enum LogFormat {
///         /// One JSON object a line.
///         #[default]
///         Json = "json",
///         /// For people.
///         Text = "text",
///     }
/// }
/// let config = Config::builder().yaml("c.yaml", "log: {format: txt}").build().unwrap();
/// let error = config.get::<LogFormat>("log.format").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "c.yaml:1:15: log.format: expected json or text, found `txt`; did you mean `text`?"
/// );
/// ```
#[macro_export]
macro_rules! choices {
    (
        $(#[$meta:meta])*
        $vis:vis enum $enum:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $enum {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $enum {
            /// The word in settings.
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl ::core::fmt::Display for $enum {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::Setting for $enum {
            fn kind() -> ::std::string::String {
                $crate::__words(&[$($word),+])
            }

            fn read(
                value: &$crate::Value,
            ) -> ::core::result::Result<Self, ::std::vec::Vec<$crate::Problem>> {
                $crate::__choice(value, &[$(($word, Self::$variant)),+])
            }

            fn write(&self) -> ::core::option::Option<::std::string::String> {
                ::core::option::Option::Some(::std::string::ToString::to_string(self))
            }
        }
    };
}

/// Makes a type with `FromStr` and `Display` a setting: the type, its kind in words, a remedy.
#[macro_export]
macro_rules! setting_from_text {
    ($type:ty, $kind:literal, $remedy:literal) => {
        impl $crate::Setting for $type {
            fn kind() -> ::std::string::String {
                ::std::string::String::from($kind)
            }

            fn read(
                value: &$crate::Value,
            ) -> ::core::result::Result<Self, ::std::vec::Vec<$crate::Problem>> {
                $crate::__from_text(value, $remedy)
            }

            fn write(&self) -> ::core::option::Option<::std::string::String> {
                ::core::option::Option::Some($crate::__quote(&::std::string::ToString::to_string(
                    self,
                )))
            }
        }
    };
}
