//! Looks an expression over before it is accepted.

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{EntryExpr, Expr, LiteralValue, operators};

use super::CelError;
use super::plain::Plain;
use super::typo;
use super::values::{COMMAND, CONNECTION, IDENTITY, Needs, SESSION, ZONED};
use super::zone;

/// How deep brackets, and the tree, may nest.
const MAX_DEPTH: usize = 48;
/// How deep loops (`all`, `exists`, `map`, `filter`) may nest: the cost is the product of the lists.
const MAX_LOOPS: usize = 2;

/// Functions that expressions may call. All of them are total, cheap and without side effects.
pub(super) const FUNCTIONS: [&str; 40] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "find",
    "findAll",
    "lowerAscii",
    "upperAscii",
    "trim",
    "split",
    "join",
    "replace",
    "substring",
    "indexOf",
    "lastIndexOf",
    "charAt",
    "reverse",
    "string",
    "int",
    "uint",
    "double",
    "min",
    "max",
    "sum",
    "first",
    "last",
    "distinct",
    "isSorted",
    "flatten",
    "slice",
    "intersects",
    "equivalent",
    "ip",
    "cidr",
    "isIP",
    "isCIDR",
    "containsIP",
    "containsCIDR",
    "sets.contains",
];

/// The variables.
const VARIABLES: [&str; 4] = ["command", "identity", "connection", "session"];

/// Names that stand before a function as if they were variables.
const NAMESPACES: [&str; 1] = ["sets"];

/// Refuses what would take the parser too deep, before it is parsed.
pub(super) fn brackets(source: &str) -> Result<(), CelError> {
    let mut depth = 0usize;
    let mut unary = 0usize;
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        unary = if matches!(byte, b'!' | b'-') { unary + 1 } else { 0 };
        if depth > MAX_DEPTH || unary > MAX_DEPTH {
            return Err(CelError::TooDeep);
        }
    }
    // `a ? b : c ? d : e …` nests to the right without a bracket.
    if source.bytes().filter(|byte| *byte == b'?').count() > MAX_DEPTH {
        return Err(CelError::TooDeep);
    }
    Ok(())
}

/// Refuses names and fields that do not exist, unknown functions, patterns that do not compile, and loops within loops.
/// Says which fields are read. `source` is what was compiled: a typing error is told with its place.
pub(super) fn names(expression: &IdedExpr, source: &str) -> Result<Needs, CelError> {
    let mut look = Look {
        source,
        bound: Vec::new(),
        loops: 0,
        depth: 0,
        plain: Plain::default(),
        needs: Needs::default(),
    };
    look.visit(expression)?;
    Ok(look.needs)
}

struct Look<'a> {
    source: &'a str,
    /// Variables of the loops around, innermost last.
    bound: Vec<&'a str>,
    loops: usize,
    depth: usize,
    plain: Plain,
    needs: Needs,
}

impl<'a> Look<'a> {
    fn visit(&mut self, expression: &'a IdedExpr) -> Result<(), CelError> {
        self.depth += 1;
        // A chain of `&&` leans to one side; four times the brackets is still far from the end of the stack.
        if self.depth > 4 * MAX_DEPTH {
            return Err(CelError::TooDeep);
        }
        let result = self.look(&expression.expr);
        self.depth -= 1;
        result
    }

    fn look(&mut self, expression: &'a Expr) -> Result<(), CelError> {
        match expression {
            Expr::Unspecified => Ok(()),
            Expr::Literal(_) => {
                self.needs.texts.extend(text(expression).map(str::to_owned));
                Ok(())
            }
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => match self.field(&select.operand, &select.field)? {
                true => Ok(()),
                false => self.visit(&select.operand),
            },
            Expr::Call(call) => {
                if self.zoned(call)? {
                    return Ok(());
                }
                self.function(call)?;
                let namespace = call.target.as_deref().is_some_and(
                    |target| matches!(&target.expr, Expr::Ident(name) if NAMESPACES.contains(&name.as_str())),
                );
                if let Some(target) = call.target.as_deref().filter(|_| !namespace) {
                    self.visit(target)?;
                }
                call.args.iter().try_for_each(|argument| self.visit(argument))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => self.visit(&entry.key).and_then(|()| self.visit(&entry.value)),
                EntryExpr::StructField(field) => self.visit(&field.value),
            }),
            Expr::Struct(_) => Err(CelError::Unknown("messages do not exist here; use a map".to_owned())),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn comprehension(&mut self, loops: &'a kube_cel::cel::common::ast::ComprehensionExpr) -> Result<(), CelError> {
        self.visit(&loops.iter_range)?;
        self.visit(&loops.accu_init)?;
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            return Err(CelError::TooDeep);
        }
        let outer = self.bound.len();
        self.bound.push(&loops.iter_var);
        self.bound.extend(loops.iter_var2.as_deref());
        self.bound.push(&loops.accu_var);
        let inside = [&loops.loop_cond, &loops.loop_step, &loops.result];
        let result = inside.into_iter().try_for_each(|part| self.visit(part));
        self.bound.truncate(outer);
        self.loops -= 1;
        result
    }

    fn variable(&mut self, name: &str) -> Result<(), CelError> {
        if self.bound.contains(&name) {
            return Ok(());
        }
        if !VARIABLES.contains(&name) {
            return Err(self.unknown(None, name, &VARIABLES));
        }
        self.needs.add(name, None);
        Ok(())
    }

    /// A field of one of our variables; false if it is a field of something else.
    fn field(&mut self, operand: &IdedExpr, field: &str) -> Result<bool, CelError> {
        let Expr::Ident(name) = &operand.expr else {
            return Ok(false);
        };
        let known: &[&str] = match name.as_str() {
            name if self.bound.contains(&name) => return Ok(false),
            "command" => &COMMAND,
            "identity" => &IDENTITY,
            "connection" => &CONNECTION,
            "session" => &SESSION,
            _ => return Ok(false),
        };
        if !known.contains(&field) {
            return Err(self.unknown(Some(name.as_str()), field, known));
        }
        if name == "session" && ZONED.contains(&field) {
            let message = format!("`session.{field}` is asked in a zone: session.{field}['Europe/Zurich']");
            return Err(CelError::Unknown(message));
        }
        self.needs.add(name, Some(field));
        Ok(true)
    }

    /// A field of `session` that is asked in a zone; false if the call is something else.
    fn zoned(&mut self, call: &kube_cel::cel::common::ast::CallExpr) -> Result<bool, CelError> {
        let [operand, zone] = call.args.as_slice() else {
            return Ok(false);
        };
        let (true, Expr::Select(select)) = (call.func_name == operators::INDEX, &operand.expr) else {
            return Ok(false);
        };
        let of_session = matches!(&select.operand.expr, Expr::Ident(name) if name == "session");
        let field = select.field.as_str();
        if !of_session || self.bound.contains(&"session") || !ZONED.contains(&field) {
            return Ok(false);
        }
        // One from the command itself would let the person who asks choose what time it is.
        let Some(zone) = text(&zone.expr) else {
            return Err(CelError::Unknown(format!(
                "the zone of `session.{field}` must be a literal text"
            )));
        };
        if !zone::is_known(zone) {
            let message = format!("zone `{zone}` does not exist; there are those of IANA, such as Europe/Zurich");
            return Err(CelError::Unknown(message));
        }
        self.needs.add("session", Some(field));
        if !self.needs.zones.iter().any(|known| known == zone) {
            self.needs.zones.push(zone.to_owned());
        }
        Ok(true)
    }

    /// What somebody reads who mistyped a name: a field of a variable, or a variable or function by itself.
    fn unknown(&self, variable: Option<&str>, name: &str, known: &[&str]) -> CelError {
        let path = |field: &str| variable.map_or_else(|| field.to_owned(), |variable| format!("{variable}.{field}"));
        let place = typo::place(self.source, variable, name);
        let place = place.map_or_else(String::new, |at| format!(" (character {at})"));
        let meant = typo::nearest(name, known).map_or_else(
            || "there are".to_owned(),
            |one| format!("did you mean `{}`? There are", path(one)),
        );
        let message = format!("`{}`{place} does not exist; {meant} {}", path(name), known.join(", "));
        CelError::Unknown(message)
    }

    fn function(&mut self, call: &'a kube_cel::cel::common::ast::CallExpr) -> Result<(), CelError> {
        let name = call.func_name.as_str();
        self.needs.patterns |= !self.plain.allows(call);
        if name == operators::INDEX || name == operators::OPT_INDEX {
            return match (call.args.first(), call.args.get(1).and_then(|index| text(&index.expr))) {
                (Some(operand), Some(field)) => self.field(operand, field).map(drop),
                _ => Ok(()),
            };
        }
        if name == operators::EQUALS || name == operators::NOT_EQUALS {
            comparable(&call.args)?;
        }
        let operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !operator && !FUNCTIONS.contains(&name) {
            return Err(self.unknown(None, name, &FUNCTIONS));
        }
        if ["matches", "find", "findAll"].contains(&name) {
            let pattern = call.args.last().and_then(|pattern| text(&pattern.expr));
            // A pattern from the command itself would let the person who asks write the rule.
            let Some(pattern) = pattern else {
                return Err(CelError::Unknown(format!(
                    "the pattern of `{name}` must be a literal text"
                )));
            };
            regex::Regex::new(pattern)
                .map_err(|_| CelError::Syntax(format!("the pattern of `{name}` does not compile")))?;
        }
        Ok(())
    }
}

/// `command.verbs == 'delete'` is false for every command, and a rule that never matches is a hole: what a field is must fit
/// the literal beside it.
fn comparable(sides: &[IdedExpr]) -> Result<(), CelError> {
    let [a, b] = sides else { return Ok(()) };
    for (field, literal) in [(a, b), (b, a)] {
        let (Some((name, is)), Some(given)) = (field_kind(&field.expr), literal_kind(&literal.expr)) else {
            continue;
        };
        if is != given {
            return Err(CelError::Unknown(format!(
                "`{name}` is {is} and is compared with {given}, which is never equal"
            )));
        }
    }
    Ok(())
}

fn field_kind(expression: &Expr) -> Option<(String, &'static str)> {
    let Expr::Select(select) = expression else { return None };
    let Expr::Ident(variable) = &select.operand.expr else {
        return None;
    };
    let kind = match (variable.as_str(), select.field.as_str()) {
        (
            "command",
            "verbs" | "tables" | "written" | "writes" | "columns" | "functions" | "hidden" | "settings" | "parameters",
        ) => "a list",
        ("command", "has_where" | "hasWhere" | "read_only" | "opaque" | "protected" | "in_transaction") => {
            "true or false"
        }
        ("command", "params_count" | "rows" | "risk") => "a number",
        ("command", _) => "a text",
        ("identity", "groups" | "agents") => "a list",
        ("identity", _) => "a text",
        ("connection", "name" | "namespace") | ("session", "source") => "a text",
        _ => return None,
    };
    Some((format!("{variable}.{}", select.field), kind))
}

fn literal_kind(expression: &Expr) -> Option<&'static str> {
    match expression {
        Expr::List(_) => Some("a list"),
        Expr::Map(_) => Some("a map"),
        Expr::Literal(literal) => Some(match literal {
            LiteralValue::Boolean(_) => "true or false",
            LiteralValue::String(_) => "a text",
            LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => "a number",
            LiteralValue::Bytes(_) | LiteralValue::Null => "something else",
        }),
        _ => None,
    }
}

fn text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
