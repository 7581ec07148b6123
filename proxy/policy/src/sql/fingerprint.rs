//! Our own fingerprint of a statement.
//!
//! SHA-256 over the tree with nothing left out but positions in the text: spacing, comments and the case of keywords do
//! not matter, everything else does. Literals, names, `LIMIT`, the spelling of a qualified name: all exact. Only the
//! values of bound parameters (`$1`) are not part of it. The parser's own fingerprint is no use here: it has 64 bits and
//! gives one hash to every DO block, to `SET ROLE a` and `b`, to `id > 0` and `id > 999999`.

use aws_lc_rs::digest;

use super::tree::{Node, Tree, Value};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// Fields that say where in the text something stood.
const POSITIONS: [&str; 9] = [
    "location",
    "arg_location",
    "name_location",
    "payload_location",
    "conninfo_location",
    "list_start",
    "list_end",
    "rexpr_list_start",
    "rexpr_list_end",
];

/// Marks of the encoding. Each value is self-delimiting, so that no two trees share one encoding.
mod mark {
    pub(super) const NULL: u8 = 0;
    pub(super) const BOOL: u8 = 1;
    pub(super) const INT: u8 = 2;
    pub(super) const TEXT: u8 = 3;
    pub(super) const OBJECT: u8 = 4;
    pub(super) const LIST: u8 = 5;
    pub(super) const FIELD: u8 = 6;
    pub(super) const END: u8 = 7;
}

/// Digest of a whole tree.
pub(super) fn of_tree(tree: &Tree) -> Digest {
    let mut bytes = Vec::with_capacity(1024);
    if let Some(root) = tree.root() {
        encode(root, &mut bytes);
    }
    Digest::of(&bytes)
}

fn encode(node: Node<'_>, out: &mut Vec<u8>) {
    out.push(mark::OBJECT);
    text(node.kind(), out);
    for (name, value) in node.fields() {
        if matches!(value, Value::Int(_)) && POSITIONS.contains(name) {
            continue;
        }
        out.push(mark::FIELD);
        text(name, out);
        encode_value(node, value, out);
    }
    out.push(mark::END);
}

fn encode_value(node: Node<'_>, value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(mark::NULL),
        Value::Bool(flag) => out.extend([mark::BOOL, u8::from(*flag)]),
        Value::Int(number) => {
            out.push(mark::INT);
            out.extend(number.to_be_bytes());
        }
        Value::Text(content) => {
            out.push(mark::TEXT);
            text(content, out);
        }
        Value::Object(_) => match node.follow(value) {
            Some(child) => encode(child, out),
            None => out.push(mark::NULL),
        },
        Value::List(start, len) => {
            out.push(mark::LIST);
            out.extend(len.to_be_bytes());
            for item in node.items(*start, *len) {
                encode_value(node, item, out);
            }
        }
    }
}

fn text(content: &str, out: &mut Vec<u8>) {
    out.extend((content.len() as u64).to_be_bytes());
    out.extend(content.as_bytes());
}

// === impl Digest ===

impl Digest {
    /// SHA-256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, bytes);
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(out)
    }

    /// Lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        crate::hex(&self.0)
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hex())
    }
}
