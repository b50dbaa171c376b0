//! A struct is a JSON object, and nothing else.

use serde::de::{Deserializer, Visitor};

/// Reads a struct from an object only. serde's derive takes an array for a struct as well, each
/// element for a field: `["Ada", "a@b.c"]` would create a user, and `[]` change nothing with 200.
pub(super) struct ObjectForStruct<D>(pub(super) D);

macro_rules! forward {
    ($($method:ident),+ $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(visitor)
        }
    )+};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ObjectForStruct<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward! {
        deserialize_any, deserialize_bool, deserialize_i8, deserialize_i16, deserialize_i32,
        deserialize_i64, deserialize_i128, deserialize_u8, deserialize_u16, deserialize_u32,
        deserialize_u64, deserialize_u128, deserialize_f32, deserialize_f64, deserialize_char,
        deserialize_str, deserialize_string, deserialize_bytes, deserialize_byte_buf,
        deserialize_option, deserialize_unit, deserialize_seq, deserialize_map,
        deserialize_identifier, deserialize_ignored_any,
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, length, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Change {
        name: Option<String>,
    }

    fn read<T: DeserializeOwned>(json: &str) -> serde_json::Result<T> {
        T::deserialize(ObjectForStruct(&mut serde_json::Deserializer::from_str(json)))
    }

    #[test]
    fn an_array_is_no_struct() {
        for json in ["[]", r#"["Ada"]"#] {
            assert!(read::<Change>(json).unwrap_err().to_string().contains("sequence"), "{json}");
        }
        assert_eq!(read::<Change>(r#"{"name": "Ada"}"#).unwrap().name.as_deref(), Some("Ada"));
    }

    #[test]
    fn other_types_are_read_as_ever() {
        assert_eq!(read::<Vec<u8>>("[1, 2]").unwrap(), [1, 2]);
        assert_eq!(read::<(u8, String)>(r#"[1, "a"]"#).unwrap(), (1, "a".to_owned()));
        assert_eq!(read::<Option<u8>>("null").unwrap(), None);
        assert_eq!(read::<Option<u8>>("7").unwrap(), Some(7));
        assert!(read::<serde_json::Value>("[1]").unwrap().is_array());
    }
}
