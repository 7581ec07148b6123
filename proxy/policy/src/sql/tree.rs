//! The parse tree in one generic shape: every node has a kind and fields, whatever PostgreSQL's grammar made of it.
//!
//! The parser's own structures have some 270 types, and every walk that lists them by hand forgets one (a list of
//! targets, a window clause, a JSON constructor), which in this crate would be a hole. So the structures are poured,
//! through their derived serialisation, into this one shape, and walks go over *all* fields: what nobody thought of is
//! still visited. Fields with their default value (absent, zero, empty, false) are left out.

use std::collections::BTreeSet;
use std::fmt;

/// One statement's tree. Nodes refer to each other by index.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Tree {
    pub(super) objects: Vec<Object>,
    pub(super) fields: Vec<(&'static str, Value)>,
    pub(super) items: Vec<Value>,
    pub(super) root: Value,
}

/// A node: its kind and where its fields stand.
#[derive(Clone, PartialEq)]
pub(super) struct Object {
    pub(super) kind: &'static str,
    pub(super) fields: std::ops::Range<u32>,
}

/// What a field holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Value {
    /// Nothing. Stands in lists only, where its place means something (`DISTINCT` without `ON`).
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Text(Box<str>),
    Object(u32),
    List(u32, u32),
}

/// A node of a [`Tree`].
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    tree: &'a Tree,
    id: u32,
}

// === impl Tree ===

impl Tree {
    /// The statement's own node. `None` for an empty statement.
    pub(crate) fn root(&self) -> Option<Node<'_>> {
        self.as_node(&self.root)
    }

    /// How many nodes it has.
    pub(super) fn size(&self) -> usize {
        self.objects.len()
    }

    /// Every text but those of constants.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        let (mut names, mut todo, mut seen) = (BTreeSet::new(), vec![&self.root], vec![false; self.objects.len()]);
        while let Some(value) = todo.pop() {
            match value {
                Value::Text(text) => _ = names.insert(&**text),
                Value::List(start, len) => todo.extend(self.list(*start, *len)),
                Value::Object(_) => {
                    let Some(node) = self.as_node(value) else { continue };
                    let first = seen
                        .get_mut(node.id as usize)
                        .is_some_and(|seen| !std::mem::replace(seen, true));
                    if first && !node.is("AConst") {
                        todo.extend(node.fields().iter().map(|(_, value)| value));
                    }
                }
                Value::Null | Value::Bool(_) | Value::Int(_) => {}
            }
        }
        names.remove("");
        names
    }

    /// All nodes, in no order that means anything.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        (0_u32..).zip(&self.objects).map(|(id, _)| Node { tree: self, id })
    }

    fn as_node(&self, value: &Value) -> Option<Node<'_>> {
        match value {
            Value::Object(id) => Some(Node { tree: self, id: *id }),
            _ => None,
        }
    }

    fn list(&self, start: u32, len: u32) -> &[Value] {
        let start = start as usize;
        self.items.get(start..start + len as usize).unwrap_or_default()
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Trees hold literals of statements, which belong in no log.
        write!(f, "Tree({} nodes)", self.objects.len())
    }
}

// === impl Node ===

impl<'a> Node<'a> {
    /// Name of the grammar's structure, such as `SelectStmt`.
    pub(crate) fn kind(self) -> &'static str {
        self.object().map_or("", |object| object.kind)
    }

    /// How many nodes its whole tree has.
    pub(crate) fn size(self) -> usize {
        self.tree.objects.len()
    }

    /// All nodes of its tree, in no order that means anything.
    pub(super) fn all(self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.tree.nodes()
    }

    /// Whether this is a node of the given kind.
    pub(crate) fn is(self, kind: &str) -> bool {
        self.kind() == kind
    }

    /// Identity of the node within its tree.
    pub(crate) fn id(self) -> u32 {
        self.id
    }

    /// The node in a field.
    pub(crate) fn node(self, field: &str) -> Option<Node<'a>> {
        self.value(field).and_then(|value| self.tree.as_node(value))
    }

    /// The nodes of a list field. Elements that are no nodes are passed over.
    pub(crate) fn list(self, field: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let items = match self.value(field) {
            Some(Value::List(start, len)) => self.tree.list(*start, *len),
            _ => &[],
        };
        items.iter().filter_map(move |item| self.tree.as_node(item))
    }

    /// How many elements a list field has, empty ones included.
    pub(crate) fn count(self, field: &str) -> usize {
        match self.value(field) {
            Some(Value::List(_, len)) => *len as usize,
            _ => 0,
        }
    }

    /// The text in a field; empty if there is none.
    pub(crate) fn text(self, field: &str) -> &'a str {
        match self.value(field) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// The number in a field; 0 if there is none.
    pub(crate) fn int(self, field: &str) -> i64 {
        match self.value(field) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        }
    }

    /// The flag in a field; false if there is none.
    pub(crate) fn flag(self, field: &str) -> bool {
        matches!(self.value(field), Some(Value::Bool(true)))
    }

    /// Whether a field has any value but its default.
    pub(crate) fn has(self, field: &str) -> bool {
        self.value(field).is_some()
    }

    /// The strings of a list field: a possibly qualified name.
    pub(crate) fn names(self, field: &str) -> Vec<&'a str> {
        self.list(field)
            .filter(|item| item.is("String"))
            .map(|item| item.text("sval"))
            .collect()
    }

    /// The text of this node if it is a string or a string constant.
    pub(crate) fn literal(self) -> Option<&'a str> {
        match self.kind() {
            "String" => Some(self.text("sval")),
            "AConst" => self
                .node("val")
                .filter(|value| value.is("String"))
                .map(|value| value.text("sval")),
            "TypeCast" if self.node("type_name").is_some_and(Node::keeps_text) => self.node("arg")?.literal(),
            _ => None,
        }
    }

    /// Whether a text stays what it is as a value of this type. `varchar(4)` cuts it, and so may a type of users.
    fn keeps_text(self) -> bool {
        let plain = !self.has("typmods") && !self.has("array_bounds");
        let names = self.names("names");
        plain && matches!(names.as_slice(), ["text"] | ["pg_catalog", "text" | "varchar"])
    }

    /// All nodes directly below, through any field and any depth of bare lists.
    pub(crate) fn children(self) -> Vec<Node<'a>> {
        let mut found = Vec::new();
        for (_, value) in self.fields() {
            self.collect(value, &mut found);
        }
        found
    }

    /// All fields that have a value.
    pub(super) fn fields(self) -> &'a [(&'static str, Value)] {
        let Some(object) = self.object() else { return &[] };
        self.tree
            .fields
            .get(object.fields.start as usize..object.fields.end as usize)
            .unwrap_or_default()
    }

    /// Elements of a list value.
    pub(super) fn items(self, start: u32, len: u32) -> &'a [Value] {
        self.tree.list(start, len)
    }

    /// The node that a value of this tree refers to.
    pub(super) fn follow(self, value: &Value) -> Option<Node<'a>> {
        self.tree.as_node(value)
    }

    /// Where a field stands among all fields of the tree.
    pub(super) fn place(self, field: &str) -> Option<usize> {
        let start = self.object()?.fields.start as usize;
        let own = self.fields().iter().position(|(name, _)| *name == field)?;
        Some(start + own)
    }

    fn collect(self, value: &Value, found: &mut Vec<Node<'a>>) {
        match value {
            Value::Object(id) => found.push(Node {
                tree: self.tree,
                id: *id,
            }),
            Value::List(start, len) => {
                for item in self.tree.list(*start, *len) {
                    self.collect(item, found);
                }
            }
            _ => {}
        }
    }

    fn value(self, field: &str) -> Option<&'a Value> {
        self.fields()
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, value)| value)
    }

    fn object(self) -> Option<&'a Object> {
        self.tree.objects.get(self.id as usize)
    }
}
