//! What messages and calls look like, from the descriptors of the `.proto` files.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use regatta_proto::etcdserverpb::FILE_DESCRIPTOR_SET;

/// Every message, enumeration and call of etcd's interface.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET);
    Schema::of(set.expect("the build wrote the descriptors"))
});

/// What there is, by its full name with a dot before it, as descriptors name it.
#[derive(Debug, Default)]
pub(super) struct Schema {
    messages: HashMap<String, Message>,
    enums: HashMap<String, Vec<(String, i32)>>,
    /// By the path that gRPC calls it at.
    methods: HashMap<String, Method>,
}

/// A message: its fields, in the order of the file.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// As the file has it, and as answers show it.
    pub(super) name: String,
    /// The other name that requests may use: `rangeEnd` for `range_end`.
    pub(super) camel: String,
    pub(super) kind: Kind,
    pub(super) is_repeated: bool,
}

/// What a field holds, as far as JSON tells it apart.
#[derive(Debug)]
pub(super) enum Kind {
    Bytes,
    Text,
    Flag,
    Signed,
    Unsigned,
    /// Of 32 bits, which JSON shows as a number and not as a text.
    Small,
    Enum(String),
    Message(String),
}

#[derive(Debug)]
pub(super) struct Method {
    pub(super) input: String,
    pub(super) output: String,
    /// Whether more than one request may come.
    pub(super) takes_many: bool,
    /// Whether more than one answer may come.
    pub(super) answers_many: bool,
}

impl Schema {
    fn of(set: FileDescriptorSet) -> Self {
        let mut schema = Self::default();
        for file in &set.file {
            let scope = format!(".{}", file.package());
            file.message_type.iter().for_each(|message| schema.message_type(&scope, message));
            file.enum_type.iter().for_each(|one| schema.enum_type(&scope, one));
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let of = Method {
                        input: method.input_type().to_owned(),
                        output: method.output_type().to_owned(),
                        takes_many: method.client_streaming(),
                        answers_many: method.server_streaming(),
                    };
                    schema.methods.insert(path, of);
                }
            }
        }
        schema
    }

    fn message_type(&mut self, scope: &str, message: &DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        message.nested_type.iter().for_each(|nested| self.message_type(&name, nested));
        message.enum_type.iter().for_each(|nested| self.enum_type(&name, nested));
        let fields = message.field.iter().map(field).collect();
        self.messages.insert(name, Message { fields });
    }

    fn enum_type(&mut self, scope: &str, of: &EnumDescriptorProto) {
        let values = of.value.iter().map(|value| (value.name().to_owned(), value.number()));
        self.enums.insert(format!("{scope}.{}", of.name()), values.collect());
    }

    /// The call at a path; each path of the gateway has one.
    pub(super) fn method(&self, path: &str) -> Option<&Method> {
        self.methods.get(path)
    }

    /// A message that a call or a field names.
    pub(super) fn message(&self, name: &str) -> &Message {
        self.messages.get(name).expect("the set has every message that it names")
    }

    /// The number of a name in an enumeration.
    pub(super) fn number(&self, of: &str, name: &str) -> Option<i32> {
        let values = self.enums.get(of)?;
        values.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
    }

    /// The name of a number in an enumeration.
    pub(super) fn name(&self, of: &str, number: i32) -> Option<&str> {
        let values = self.enums.get(of)?;
        values.iter().find(|(_, known)| *known == number).map(|(name, _)| name.as_str())
    }
}

fn field(field: &FieldDescriptorProto) -> Field {
    let type_name = || field.type_name().to_owned();
    let kind = match field.r#type() {
        Type::Bytes => Kind::Bytes,
        Type::String => Kind::Text,
        Type::Bool => Kind::Flag,
        Type::Int64 => Kind::Signed,
        Type::Uint64 => Kind::Unsigned,
        Type::Int32 | Type::Uint32 => Kind::Small,
        Type::Enum => Kind::Enum(type_name()),
        Type::Message => Kind::Message(type_name()),
        other => unreachable!("etcd's messages have no field of type {other:?}"),
    };
    Field {
        number: field.number().cast_unsigned(),
        name: field.name().to_owned(),
        camel: camel(field.name()),
        kind,
        is_repeated: field.label() == Label::Repeated,
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (begin, rest) = word.split_at(word.len().min(1));
        text + &begin.to_ascii_uppercase() + rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_known_by_both_their_names() {
        let range = SCHEMA.message(".etcdserverpb.RangeRequest");
        let end = range.fields.iter().find(|field| field.name == "range_end").unwrap();
        assert_eq!((end.camel.as_str(), end.number, end.is_repeated), ("rangeEnd", 2, false));
        assert_eq!(camel("min_mod_revision"), "minModRevision");
        assert_eq!(camel("ID"), "ID");
    }

    #[test]
    fn calls_and_enumerations_are_found_by_name() {
        let watch = SCHEMA.method("/etcdserverpb.Watch/Watch").unwrap();
        assert!(watch.takes_many && watch.answers_many);
        let put = SCHEMA.method("/etcdserverpb.KV/Put").unwrap();
        assert!(!put.takes_many && !put.answers_many);
        let order = ".etcdserverpb.RangeRequest.SortOrder";
        assert_eq!(SCHEMA.number(order, "DESCEND"), Some(2));
        assert_eq!(SCHEMA.name(order, 2), Some("DESCEND"));
        assert_eq!((SCHEMA.number(order, "UP"), SCHEMA.name(order, 9)), (None, None));
    }
}
