//! Pours the parser's structures into a [`Tree`] through their derived serialisation.

use std::fmt;

use pg_query::protobuf;
use serde::ser::{self, Serialize};

use super::tree::{Object, Tree, Value};

/// Nodes of a tree that is worth to be moved, so that it takes no more room than it needs.
const LARGE: usize = 4_096;

/// The tree of one raw statement.
pub(super) fn pour(statement: &protobuf::RawStmt) -> Result<Tree, Unexpected> {
    let mut tree = Tree::default();
    let mut scratch = Vec::new();
    let root = match &statement.stmt {
        Some(node) => node.serialize(Pour {
            tree: &mut tree,
            scratch: &mut scratch,
        })?,
        None => Value::Null,
    };
    tree.root = root;
    if tree.objects.len() > LARGE {
        tree.objects.shrink_to_fit();
        tree.fields.shrink_to_fit();
        tree.items.shrink_to_fit();
    }
    Ok(tree)
}

/// The parser's structures held something that this version of them does not have. Never seen; refused if it is.
#[derive(Debug, thiserror::Error)]
#[error("the parse tree holds {0}")]
pub struct Unexpected(String);

impl ser::Error for Unexpected {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Wrapper around every node that stands where the grammar allows several kinds; it has no meaning of its own.
const WRAPPER: &str = "Node";

/// Serialises one value into the tree. `scratch` holds the fields of nodes that are not finished yet.
struct Pour<'t> {
    tree: &'t mut Tree,
    scratch: &'t mut Vec<(&'static str, Value)>,
}

/// A node whose fields are being collected.
struct PourStruct<'t> {
    pour: Pour<'t>,
    kind: &'static str,
    base: usize,
}

/// A list whose elements are being collected.
struct PourList<'t> {
    pour: Pour<'t>,
    items: Vec<Value>,
}

impl Pour<'_> {
    fn again(&mut self) -> Pour<'_> {
        Pour {
            tree: self.tree,
            scratch: self.scratch,
        }
    }
}

fn unexpected<T>(what: &str) -> Result<T, Unexpected> {
    Err(Unexpected(what.to_owned()))
}

fn index(length: usize) -> Result<u32, Unexpected> {
    u32::try_from(length).or_else(|_| unexpected("more nodes than can be counted"))
}

impl<'t> ser::Serializer for Pour<'t> {
    type Ok = Value;
    type Error = Unexpected;
    type SerializeSeq = PourList<'t>;
    type SerializeTuple = ser::Impossible<Value, Unexpected>;
    type SerializeTupleStruct = ser::Impossible<Value, Unexpected>;
    type SerializeTupleVariant = ser::Impossible<Value, Unexpected>;
    type SerializeMap = ser::Impossible<Value, Unexpected>;
    type SerializeStruct = PourStruct<'t>;
    type SerializeStructVariant = ser::Impossible<Value, Unexpected>;

    fn serialize_bool(self, v: bool) -> Result<Value, Unexpected> {
        Ok(Value::Bool(v))
    }
    fn serialize_i8(self, v: i8) -> Result<Value, Unexpected> {
        Ok(Value::Int(v.into()))
    }
    fn serialize_i16(self, v: i16) -> Result<Value, Unexpected> {
        Ok(Value::Int(v.into()))
    }
    fn serialize_i32(self, v: i32) -> Result<Value, Unexpected> {
        Ok(Value::Int(v.into()))
    }
    fn serialize_i64(self, v: i64) -> Result<Value, Unexpected> {
        Ok(Value::Int(v))
    }
    fn serialize_u8(self, v: u8) -> Result<Value, Unexpected> {
        Ok(Value::Int(v.into()))
    }
    fn serialize_u16(self, v: u16) -> Result<Value, Unexpected> {
        Ok(Value::Int(v.into()))
    }
    fn serialize_u32(self, v: u32) -> Result<Value, Unexpected> {
        Ok(Value::Int(v.into()))
    }
    fn serialize_u64(self, v: u64) -> Result<Value, Unexpected> {
        i64::try_from(v)
            .map(Value::Int)
            .or_else(|_| unexpected("a number over 2^63"))
    }
    fn serialize_f32(self, _: f32) -> Result<Value, Unexpected> {
        unexpected("a planner's estimate")
    }
    fn serialize_f64(self, v: f64) -> Result<Value, Unexpected> {
        // Costs stand in planner nodes, which a raw tree does not have.
        if v == 0.0 {
            Ok(Value::Int(0))
        } else {
            unexpected("a planner's estimate")
        }
    }
    fn serialize_char(self, v: char) -> Result<Value, Unexpected> {
        Ok(Value::Text(v.to_string().into_boxed_str()))
    }
    fn serialize_str(self, v: &str) -> Result<Value, Unexpected> {
        Ok(Value::Text(v.into()))
    }
    fn serialize_bytes(self, _: &[u8]) -> Result<Value, Unexpected> {
        unexpected("bytes")
    }
    fn serialize_none(self) -> Result<Value, Unexpected> {
        Ok(Value::Null)
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<Value, Unexpected> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Value, Unexpected> {
        Ok(Value::Null)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Unexpected> {
        Ok(Value::Null)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Unexpected> {
        Ok(Value::Text(variant.into()))
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<Value, Unexpected> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Unexpected> {
        match value.serialize(self)? {
            node @ Value::Object(_) => Ok(node),
            // The one variant that holds no structure is a bare boolean constant or its like: it cannot be told apart
            // from an absent field afterwards, so it is refused rather than lost.
            _ => unexpected(variant),
        }
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<PourList<'t>, Unexpected> {
        Ok(PourList {
            pour: self,
            items: Vec::new(),
        })
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unexpected> {
        unexpected("a tuple")
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Unexpected> {
        unexpected("a tuple")
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unexpected> {
        unexpected("a tuple")
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unexpected> {
        unexpected("a map")
    }
    fn serialize_struct(self, kind: &'static str, _: usize) -> Result<PourStruct<'t>, Unexpected> {
        let base = self.scratch.len();
        Ok(PourStruct { pour: self, kind, base })
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unexpected> {
        unexpected("a variant with fields")
    }
}

impl ser::SerializeSeq for PourList<'_> {
    type Ok = Value;
    type Error = Unexpected;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Unexpected> {
        self.items.push(value.serialize(self.pour.again())?);
        Ok(())
    }

    fn end(self) -> Result<Value, Unexpected> {
        let start = index(self.pour.tree.items.len())?;
        let len = index(self.items.len())?;
        self.pour.tree.items.extend(self.items);
        Ok(if len == 0 { Value::Null } else { Value::List(start, len) })
    }
}

impl ser::SerializeStruct for PourStruct<'_> {
    type Ok = Value;
    type Error = Unexpected;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), Unexpected> {
        let value = value.serialize(self.pour.again())?;
        let default = match &value {
            Value::Null | Value::Bool(false) | Value::Int(0) => true,
            Value::Text(text) => text.is_empty(),
            _ => false,
        };
        if !default {
            self.pour.scratch.push((name, value));
        }
        Ok(())
    }

    fn end(self) -> Result<Value, Unexpected> {
        let Pour { tree, scratch } = self.pour;
        if self.kind == WRAPPER {
            let inner = scratch.drain(self.base..).map(|(_, value)| value).next();
            return Ok(inner.unwrap_or_default());
        }
        let start = index(tree.fields.len())?;
        tree.fields.extend(scratch.drain(self.base..));
        let end = index(tree.fields.len())?;
        let id = index(tree.objects.len())?;
        tree.objects.push(Object {
            kind: self.kind,
            fields: start..end,
        });
        Ok(Value::Object(id))
    }
}
