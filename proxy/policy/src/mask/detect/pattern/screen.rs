//! The screen: walks a pattern's syntax tree, refuses what RE2 and Rust's regex do not share, and rewrites what they read
//! differently.

use regex_syntax::ast::{
    self, Ast, ClassSet, ClassSetItem, Flag, HexLiteralKind, LiteralKind, Span, SpecialLiteralKind,
};
use regex_syntax::ast::{AssertionKind, ClassPerlKind, ClassUnicodeKind, FlagsItemKind, GroupKind, RepetitionKind};
use regex_syntax::ast::{RepetitionRange, Visitor};

use super::{PatternError, last_line};

/// RE2 refuses counts, and products of nested counts, above this.
const MAX_REPEAT: u32 = 1000;

/// Unicode classes under names that both know.
const UNICODE_CLASSES: &[&str] = &[
    "Lu",
    "Ll",
    "Lt",
    "Lm",
    "Lo",
    "Mn",
    "Mc",
    "Me",
    "Nd",
    "Nl",
    "No",
    "Pc",
    "Pd",
    "Ps",
    "Pe",
    "Pi",
    "Pf",
    "Po",
    "Sm",
    "Sc",
    "Sk",
    "So",
    "Zs",
    "Zl",
    "Zp",
    "Cc",
    "Cf",
    "Co",
    "Arabic",
    "Armenian",
    "Bengali",
    "Cyrillic",
    "Devanagari",
    "Georgian",
    "Greek",
    "Gujarati",
    "Han",
    "Hangul",
    "Hebrew",
    "Hiragana",
    "Katakana",
    "Latin",
    "Tamil",
    "Telugu",
    "Thai",
];

/// The pattern in Rust's syntax with RE2's meaning.
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    let tree = ast::parse::Parser::new()
        .parse(pattern)
        .map_err(|error| PatternError::Syntax(last_line(&error)))?;
    let screen = Screen {
        pattern,
        edits: Vec::new(),
        repeats: Vec::new(),
    };
    let edits = ast::visit(&tree, screen)?;
    let mut out = String::with_capacity(pattern.len());
    let mut done = 0;
    for (span, text) in edits {
        out.push_str(pattern.get(done..span.start.offset).unwrap_or_default());
        out.push_str(text);
        done = span.end.offset;
    }
    out.push_str(pattern.get(done..).unwrap_or_default());
    Ok(out)
}

struct Screen<'p> {
    pattern: &'p str,
    /// What is rewritten, in order.
    edits: Vec<(Span, &'static str)>,
    /// Products of the counts of the repetitions around the present node.
    repeats: Vec<u32>,
}

fn refuse<T>(what: &'static str) -> Result<T, PatternError> {
    Err(PatternError::NotPortable(what))
}

impl Screen<'_> {
    fn source(&self, span: &Span) -> &str {
        self.pattern.get(span.start.offset..span.end.offset).unwrap_or_default()
    }

    fn flags(flags: &ast::Flags) -> Result<(), PatternError> {
        let shared = flags.items.iter().all(|item| match item.kind {
            FlagsItemKind::Negation => true,
            FlagsItemKind::Flag(flag) => matches!(
                flag,
                Flag::CaseInsensitive | Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed
            ),
        });
        if shared {
            Ok(())
        } else {
            refuse("a flag other than i, m, s and U")
        }
    }

    fn literal(literal: &ast::Literal) -> Result<(), PatternError> {
        match &literal.kind {
            LiteralKind::Verbatim | LiteralKind::Meta | LiteralKind::Superfluous => Ok(()),
            LiteralKind::HexFixed(HexLiteralKind::X) | LiteralKind::HexBrace(HexLiteralKind::X) => Ok(()),
            LiteralKind::Special(kind) if *kind != SpecialLiteralKind::Space => Ok(()),
            _ => refuse(r"an escape other than \xHH and \x{HHHH}"),
        }
    }

    /// A dash that is no range stands first or last in its class; elsewhere the two count it differently.
    fn dash(&self, literal: &ast::Literal) -> Result<(), PatternError> {
        let before = self.pattern.get(..literal.span.start.offset).unwrap_or_default();
        let after = self.pattern.get(literal.span.end.offset..).unwrap_or_default();
        let edge = before.ends_with(['[', '^']) || after.starts_with(']');
        if literal.c != '-' || literal.kind != LiteralKind::Verbatim || edge {
            return Ok(());
        }
        refuse("a dash within a class that is neither first nor last: write \\-")
    }

    fn perl(&mut self, class: &ast::ClassPerl) {
        let text = match (&class.kind, class.negated) {
            (ClassPerlKind::Digit, false) => "[0-9]",
            (ClassPerlKind::Digit, true) => "[^0-9]",
            (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
            (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
            (ClassPerlKind::Space, false) => r"[\t\n\f\r ]",
            (ClassPerlKind::Space, true) => r"[^\t\n\f\r ]",
        };
        self.edits.push((class.span, text));
    }

    fn unicode(class: &ast::ClassUnicode) -> Result<(), PatternError> {
        let shared = match &class.kind {
            ClassUnicodeKind::OneLetter(c) => "LMNPSZC".contains(*c),
            ClassUnicodeKind::Named(name) => UNICODE_CLASSES.contains(&name.as_str()),
            ClassUnicodeKind::NamedValue { .. } => false,
        };
        if shared {
            Ok(())
        } else {
            refuse(r"a Unicode class other than a general category or script by its plain name")
        }
    }

    fn assertion(&mut self, assertion: &ast::Assertion) -> Result<(), PatternError> {
        match assertion.kind {
            AssertionKind::StartLine | AssertionKind::EndLine | AssertionKind::StartText | AssertionKind::EndText => {}
            AssertionKind::WordBoundary => self.edits.push((assertion.span, r"(?-u:\b)")),
            AssertionKind::NotWordBoundary => self.edits.push((assertion.span, r"(?-u:\B)")),
            _ => return refuse("a word boundary of one side only"),
        }
        Ok(())
    }

    fn repetition(&mut self, repetition: &ast::Repetition) -> Result<(), PatternError> {
        if matches!(*repetition.ast, Ast::Repetition(_)) {
            return refuse("one repetition directly on another");
        }
        let count = match &repetition.op.kind {
            RepetitionKind::Range(range) => {
                let source = self.source(&repetition.op.span);
                let plain = source.chars().all(|c| c.is_ascii_digit() || "{},?".contains(c));
                if !plain || source.starts_with("{,") {
                    return refuse("a counted repeat that is not {n}, {n,} or {n,m}");
                }
                match range {
                    RepetitionRange::Exactly(n) | RepetitionRange::AtLeast(n) | RepetitionRange::Bounded(_, n) => *n,
                }
            }
            _ => 1,
        };
        let product = self.repeats.last().copied().unwrap_or(1).saturating_mul(count.max(1));
        self.repeats.push(product);
        if product > MAX_REPEAT {
            refuse("counted repeats of more than 1000 in all")
        } else {
            Ok(())
        }
    }

    fn group(group: &ast::Group) -> Result<(), PatternError> {
        match &group.kind {
            GroupKind::CaptureIndex(_) => Ok(()),
            GroupKind::NonCapturing(flags) => Self::flags(flags),
            GroupKind::CaptureName {
                starts_with_p: true,
                name,
            } if name.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => Ok(()),
            GroupKind::CaptureName { .. } => {
                refuse("a group name not written as (?P<name>…) with letters, digits and _")
            }
        }
    }
}

impl Visitor for Screen<'_> {
    type Output = Vec<(Span, &'static str)>;
    type Err = PatternError;

    fn finish(self) -> Result<Self::Output, PatternError> {
        Ok(self.edits)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), PatternError> {
        match ast {
            Ast::Flags(set) => Self::flags(&set.flags),
            Ast::Literal(literal) => Self::literal(literal),
            Ast::Assertion(assertion) => self.assertion(assertion),
            Ast::ClassUnicode(class) => Self::unicode(class),
            Ast::ClassPerl(class) => {
                self.perl(class);
                Ok(())
            }
            Ast::ClassBracketed(class) => match class.kind {
                ClassSet::Item(_) => Ok(()),
                ClassSet::BinaryOp(_) => refuse("&&, -- or ~~ within a class"),
            },
            Ast::Repetition(repetition) => self.repetition(repetition),
            Ast::Group(group) => Self::group(group),
            Ast::Empty(_) | Ast::Dot(_) | Ast::Alternation(_) | Ast::Concat(_) => Ok(()),
        }
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<(), PatternError> {
        if matches!(ast, Ast::Repetition(_)) {
            self.repeats.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), PatternError> {
        match item {
            ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) | ClassSetItem::Union(_) => Ok(()),
            ClassSetItem::Literal(literal) => {
                self.dash(literal)?;
                Self::literal(literal)
            }
            ClassSetItem::Range(range) => {
                Self::literal(&range.start)?;
                Self::literal(&range.end)
            }
            ClassSetItem::Unicode(class) => Self::unicode(class),
            ClassSetItem::Perl(class) => {
                self.perl(class);
                Ok(())
            }
            ClassSetItem::Bracketed(_) => refuse("a class within a class"),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), PatternError> {
        refuse("&&, -- or ~~ within a class")
    }
}
