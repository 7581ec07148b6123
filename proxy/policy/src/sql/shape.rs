//! Texts that differ in nothing but their literals: one of them is parsed, the others are read off its tree.
//!
//! Parsing is the better part of what judging a short statement costs, and clients that write values into their texts never
//! send the same text twice. So a text is looked up by its *shape*: itself, with every plain literal filled to its own
//! length. Positions are then the same for all texts of a shape, and only the values of constants differ.
//!
//! A shape is trusted after it was tried: two fillings of it, and the text at hand, are parsed, and each literal has to be
//! one `A_Const` of the grammar whose value alone tells the trees apart. What a literal says anywhere else (`float(24)`,
//! `FETCH 5`, the body of DO) makes the shape useless, and its texts are parsed one by one. Everything that is made of a tree
//! (verbs, names) is made anew of each text's own, but where nothing that is made of it looks at the literals: numbers that
//! are computed with, compared, written or counted to. Texts of such a shape share one script, so whoever understood one of
//! them has understood them all.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::parser::{self, Backslash, Raw};
use super::statement::{Script, Statement};
use super::tree::{Node, Tree, Value};

/// Shapes that are kept.
const MAX_SHAPES: usize = 2_048;
/// Nodes of their trees together.
const MAX_NODES: usize = 100_000;
/// Longer texts are parsed each time: they seldom come twice.
const MAX_TEXT: usize = 8 * 1024;
/// The most digits of which every number fits the grammar's integer constant.
const MAX_DIGITS: usize = 9;
/// What literals are filled with in a shape.
const FIRST: Filling = Filling {
    digit: b'1',
    letter: b'x',
};
/// What they are filled with to try it.
const SECOND: Filling = Filling {
    digit: b'9',
    letter: b'Y',
};

/// Shapes of texts that were read.
#[derive(Default)]
pub struct Shapes {
    known: HashMap<Box<str>, Shape>,
    nodes: usize,
}

/// What is known of a shape.
enum Shape {
    /// It came once.
    Seen,
    /// Its texts are read off this.
    Template(Template),
    /// Its literals are more than values.
    Useless,
}

/// The statements of a shape, and where its literals stand in their trees.
struct Template {
    raws: Vec<Raw>,
    slots: Vec<Slot>,
    /// The script of all its texts, where nothing in it hangs on their literals.
    shared: Option<Arc<Script>>,
}

/// The field of a tree that holds a literal's value.
struct Slot {
    raw: usize,
    field: usize,
    /// Whether it is a number that nothing made of the tree looks at.
    inert: bool,
}

/// A plain literal.
struct Literal {
    /// Its first byte, a quote included.
    start: usize,
    /// The bytes of its value.
    value: Range<usize>,
    quoted: bool,
}

#[derive(Clone, Copy)]
struct Filling {
    digit: u8,
    letter: u8,
}

// === impl Shapes ===

impl Shapes {
    /// Reads a text off the tree of another, where that is possible: what [`super::parse`] would give, but for numbers that
    /// nothing looks at.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Arc<Script>> {
        let literals = written(text)?;
        match self.known.get(FIRST.fill(text, &literals).as_str())? {
            Shape::Template(template) => Some(template.read(text, &literals)),
            Shape::Seen | Shape::Useless => None,
        }
    }

    /// Takes note of a text that was parsed. A shape that comes again is tried.
    pub fn note(&mut self, text: &str) {
        let Some(literals) = written(text) else { return };
        let shape = FIRST.fill(text, &literals);
        let found = match self.known.get(shape.as_str()) {
            Some(Shape::Seen) => {
                let template = Template::try_out(text, &shape, &SECOND.fill(text, &literals), &literals);
                template.map_or(Shape::Useless, Shape::Template)
            }
            Some(_) => return,
            None => Shape::Seen,
        };
        self.nodes += found.nodes();
        if self.known.len() >= MAX_SHAPES || self.nodes > MAX_NODES {
            self.known.clear();
            self.nodes = found.nodes();
        }
        self.known.insert(shape.into(), found);
    }
}

/// The literals of a text that has any, and that is short enough to be looked up.
fn written(text: &str) -> Option<Vec<Literal>> {
    let found = (text.len() <= MAX_TEXT).then(|| literals(text))?;
    found.filter(|literals| !literals.is_empty())
}

// === impl Shape ===

impl Shape {
    fn nodes(&self) -> usize {
        match self {
            Self::Template(template) => template.raws.iter().map(|raw| raw.tree.size()).sum(),
            Self::Seen | Self::Useless => 0,
        }
    }
}

// === impl Template ===

impl Template {
    /// `None` where texts of this shape differ in more than their constants.
    fn try_out(text: &str, shape: &str, other: &str, literals: &[Literal]) -> Option<Self> {
        let parse = |text: &str| parser::parse(text, Backslash::Literal).ok();
        let raws = parse(shape)?;
        let slots = literals.iter().map(|literal| slot(&raws, shape, literal));
        let mut template = Self {
            slots: slots.collect::<Option<_>>()?,
            raws,
            shared: None,
        };
        let agrees = |text: &str| parse(text).is_some_and(|parsed| parsed == template.filled(text, literals));
        if !(agrees(other) && agrees(text)) {
            return None;
        }
        let script = template.made(text, literals);
        let inert = template.slots.iter().all(|slot| slot.inert) && script.statements.iter().all(Statement::is_data);
        template.shared = inert.then_some(script);
        Some(template)
    }

    fn read(&self, text: &str, literals: &[Literal]) -> Arc<Script> {
        self.shared.clone().unwrap_or_else(|| self.made(text, literals))
    }

    fn made(&self, text: &str, literals: &[Literal]) -> Arc<Script> {
        let raws = self.filled(text, literals).into_iter();
        let statements = raws.filter_map(|raw| Statement::of(raw, text)).collect();
        Arc::new(Script::new(statements, None))
    }

    fn filled(&self, text: &str, literals: &[Literal]) -> Vec<Raw> {
        let mut raws = self.raws.clone();
        for (slot, literal) in self.slots.iter().zip(literals) {
            let tree = raws.get_mut(slot.raw).map(|raw| &mut raw.tree);
            if let Some((_, value)) = tree.and_then(|tree| tree.fields.get_mut(slot.field)) {
                *value = literal.value_in(text);
            }
        }
        raws
    }
}

/// Where a literal's value stands, if it is one constant.
fn slot(raws: &[Raw], text: &str, literal: &Literal) -> Option<Slot> {
    let mut all = raws.iter().enumerate().flat_map(|(raw, parsed)| {
        let fields = constants(&parsed.tree, literal);
        fields.map(move |(constant, field)| Slot {
            raw,
            field,
            inert: !literal.quoted && is_operand(&parsed.tree, constant),
        })
    });
    let (first, second) = (all.next()?, all.next());
    let (_, held) = raws.get(first.raw)?.tree.fields.get(first.field)?;
    (second.is_none() && *held == literal.value_in(text)).then_some(first)
}

/// Whether a constant is computed with, compared or written, or limits rows. Elsewhere a number may choose what an output is
/// (`ORDER BY 1`), and the arguments of a function may mean anything.
fn is_operand(tree: &Tree, constant: u32) -> bool {
    let is = |node: Node<'_>| {
        let item = |item: Node<'_>| item.id() == constant;
        item(node) || node.is("List") && node.list("items").any(item)
    };
    tree.nodes().any(|node| match node.kind() {
        "AExpr" | "ResTarget" => node.children().into_iter().any(is),
        "SelectStmt" => {
            let limits = ["limit_count", "limit_offset"].into_iter();
            let limits = limits.filter_map(|field| node.node(field));
            limits.chain(node.list("values_lists")).any(is)
        }
        _ => false,
    })
}

/// All constants that stand where a literal does, and their values' fields.
fn constants<'t>(tree: &'t Tree, literal: &'t Literal) -> impl Iterator<Item = (u32, usize)> + 't {
    let (kind, name) = if literal.quoted {
        ("String", "sval")
    } else {
        ("Integer", "ival")
    };
    let here = tree.nodes().filter(move |node| {
        node.is("AConst") && usize::try_from(node.int("location")).is_ok_and(|at| at == literal.start)
    });
    here.filter_map(move |constant| {
        let value = constant.node("val").filter(|value| value.is(kind))?;
        Some((constant.id(), value.place(name)?))
    })
}

// === impl Literal ===

impl Literal {
    fn value_in(&self, text: &str) -> Value {
        let written = text.get(self.value.clone()).unwrap_or_default();
        if self.quoted {
            Value::Text(written.into())
        } else {
            written.parse().map_or(Value::Null, Value::Int)
        }
    }
}

// === impl Filling ===

impl Filling {
    fn fill(self, text: &str, literals: &[Literal]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for literal in literals {
            out.push_str(text.get(at..literal.value.start).unwrap_or_default());
            let byte = if literal.quoted { self.letter } else { self.digit };
            out.extend(std::iter::repeat_n(char::from(byte), literal.value.len()));
            at = literal.value.end;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        out
    }
}

/// The plain literals of a text: numbers that fit an integer constant, and strings without any escape. `None` where the
/// text holds what makes it hard to say where a literal ends. Zeros and empty strings stay part of the shape: a tree leaves
/// out what has its default value.
fn literals(text: &str) -> Option<Vec<Literal>> {
    let bytes = text.as_bytes();
    // A text with parameters comes again as it is.
    if memchr::memchr2(b'\\', b'$', bytes).is_some() {
        return None;
    }
    let mut found = Vec::new();
    let mut at = between(bytes, 0);
    while let Some(byte) = bytes.get(at).copied() {
        let before = at
            .checked_sub(1)
            .and_then(|before| bytes.get(before).copied())
            .unwrap_or(b' ');
        let next = bytes.get(at + 1).copied().unwrap_or(b' ');
        let end = match byte {
            b'-' if next == b'-' => return None,
            b'/' if next == b'*' => return None,
            b'"' => at + 2 + memchr::memchr(b'"', bytes.get(at + 1..)?)?,
            // A letter or another quote before it makes it something else than a plain string.
            b'\'' if is_word(before) || matches!(before, b'&' | b'\'') => return None,
            b'\'' => {
                let value = at + 1..at + 1 + memchr::memchr(b'\'', bytes.get(at + 1..)?)?;
                let end = value.end + 1;
                if !value.is_empty() {
                    found.push(Literal {
                        start: at,
                        value,
                        quoted: true,
                    });
                }
                end
            }
            b'0'..=b'9' => {
                let end = at + run(bytes, at, |byte| byte.is_ascii_digit());
                let after = bytes.get(end).copied().unwrap_or(b' ');
                if is_word(after) || after == b'.' || before == b'.' {
                    end + run(bytes, end, |byte| is_word(byte) || byte == b'.')
                } else {
                    let digits = bytes.get(at..end)?;
                    if digits.len() <= MAX_DIGITS && digits.iter().any(|digit| *digit != b'0') {
                        found.push(Literal {
                            start: at,
                            value: at..end,
                            quoted: false,
                        });
                    }
                    end
                }
            }
            _ => at + 1,
        };
        at = end + between(bytes, end);
    }
    Some(found)
}

/// How many bytes from `at` on, behind a literal or a sign, neither begin a literal nor make it hard to say where one ends: words
/// with the digits in them, spaces, and most signs.
fn between(bytes: &[u8], at: usize) -> usize {
    let mut word = false;
    run(bytes, at, |byte| {
        match byte {
            b'0'..=b'9' => return word,
            b'-' | b'/' | b'"' | b'\'' => return false,
            _ => word = is_word(byte),
        }
        true
    })
}

/// Bytes of names, and of numbers with names after them.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | 0x80..)
}

/// How many bytes from `at` on are of a kind.
fn run(bytes: &[u8], at: usize, mut is: impl FnMut(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|byte| !is(*byte)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests;
