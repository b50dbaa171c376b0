//! The types of single settings.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use regatta_core::{Endpoint, Secret, ServiceName};
use regatta_yaml::{
    NotThat, Scalar, format_bytes, format_duration, parse_bytes, parse_duration, quote,
};

use crate::setting::read_scalar;
use crate::value::Value;
use crate::{Problem, Setting};

/// A number of bytes, written `1MiB`, `512KiB`, `10MB` or `4096`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// So many KiB, of 1024 bytes.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// So many MiB, of 1024 KiB.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// As a length in memory; the largest there is when it does not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_bytes(self.0))
    }
}

impl Setting for ByteSize {
    fn kind() -> String {
        "a size such as 1MiB".to_owned()
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        read_scalar(value, ", such as 1MiB", |scalar| {
            parse_bytes(&scalar.text)
                .map(Self)
                .map_err(|error| because(scalar, Self::kind(), &error))
        })
    }

    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for Duration {
    fn kind() -> String {
        "a duration such as 30s".to_owned()
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        read_scalar(value, ", such as 30s", |scalar| {
            parse_duration(&scalar.text).map_err(|error| because(scalar, Self::kind(), &error))
        })
    }

    fn write(&self) -> Option<String> {
        Some(format_duration(*self))
    }
}

/// Turns the error of a parser, which ends in a remedy, into "expected, found; remedy".
fn because(scalar: &Scalar, expected: String, error: &dyn fmt::Display) -> NotThat {
    NotThat { expected, found: scalar.found(), remedy: error.to_string() }
}

impl Setting for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        read_scalar(value, "", Scalar::boolean)
    }

    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// Any scalar, as it is written: `012` and `no` are texts here.
impl Setting for String {
    fn kind() -> String {
        "a text".to_owned()
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        read_scalar(value, "", |scalar| Ok(scalar.text.clone()))
    }

    fn write(&self) -> Option<String> {
        Some(quote(self))
    }
}

impl Setting for Secret {
    const SECRET: bool = true;

    fn kind() -> String {
        "a secret text".to_owned()
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        read_scalar(value, "", |scalar| Ok(Self::new(scalar.text.clone())))
    }

    fn write(&self) -> Option<String> {
        Some(quote(self.expose()))
    }
}

impl Setting for PathBuf {
    fn kind() -> String {
        "a path".to_owned()
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        read_scalar(value, "", |scalar| {
            let empty = || scalar.not("a path", "write a path or remove the key");
            if scalar.text.is_empty() { Err(empty()) } else { Ok(Self::from(&scalar.text)) }
        })
    }

    fn write(&self) -> Option<String> {
        Some(quote(&self.display().to_string()))
    }
}

impl Setting for f64 {
    fn kind() -> String {
        "a number".to_owned()
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        read_scalar(value, "", Scalar::float)
    }

    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! whole_numbers {
    ($($type:ty: $min:expr, $max:expr;)*) => {$(
        impl Setting for $type {
            fn kind() -> String {
                format!("a whole number from {} to {}", $min, $max)
            }

            fn read(value: &Value) -> Result<Self, Vec<Problem>> {
                read_scalar(value, "", |scalar| {
                    let fits = |number: i128| Self::try_from(number).ok();
                    let number = scalar.integer().map_err(|error| NotThat {
                        expected: Self::kind(),
                        ..error
                    })?;
                    fits(number).ok_or_else(|| {
                        scalar.not(&Self::kind(), &format!("use {} to {}", $min, $max))
                    })
                })
            }

            fn write(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

whole_numbers! {
    u8: u8::MIN, u8::MAX;
    u16: u16::MIN, u16::MAX;
    u32: u32::MIN, u32::MAX;
    u64: u64::MIN, u64::MAX;
    usize: usize::MIN, usize::MAX;
    i32: i32::MIN, i32::MAX;
    i64: i64::MIN, i64::MAX;
}

macro_rules! counts {
    ($($type:ty: $plain:ty;)*) => {$(
        impl Setting for $type {
            fn kind() -> String {
                format!("a whole number from 1 to {}", <$plain>::MAX)
            }

            fn read(value: &Value) -> Result<Self, Vec<Problem>> {
                read_scalar(value, "", |scalar| {
                    let number = scalar.integer().map_err(|error| NotThat {
                        expected: Self::kind(),
                        ..error
                    })?;
                    <$plain>::try_from(number).ok().and_then(Self::new).ok_or_else(|| {
                        scalar.not(&Self::kind(), &format!("use 1 to {}", <$plain>::MAX))
                    })
                })
            }

            fn write(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

counts! {
    NonZeroU16: u16;
    NonZeroU32: u32;
    NonZeroU64: u64;
    NonZeroUsize: usize;
}

crate::setting_from_text!(IpAddr, "an IP address", "write an address such as 127.0.0.1 or ::1");
crate::setting_from_text!(
    SocketAddr,
    "an IP address and a port",
    "write both, such as 127.0.0.1:8080 or [::1]:8080"
);
crate::setting_from_text!(Endpoint, "a host and a port", "write both, such as localhost:8080");
crate::setting_from_text!(ServiceName, "a service name", "write a name such as user-service");
