//! Whether an expression asks no more of a name than whether it is one literal text, or begins or ends with one, or holds one.
//!
//! Such an expression can be tried out with the texts that stand in it. Of anything else it is not known which name it looks
//! for.

use kube_cel::cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::values::NAMES;

/// Looks at the calls of one expression, one after the other.
#[derive(Default)]
pub(super) struct Plain {
    /// How names are looked for by a part of them.
    part: Option<&'static str>,
}

// === impl Plain ===

impl Plain {
    /// Whether a call leaves the names to be those that stand in the expression.
    pub(super) fn allows(&mut self, call: &CallExpr) -> bool {
        if !any_of_names(call) {
            return true;
        }
        let literal = |known: fn(&Expr) -> bool| call.args.iter().any(|side| known(&side.expr));
        match call.func_name.as_str() {
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::CONDITIONAL
            | operators::NOT_STRICTLY_FALSE => true,
            operators::EQUALS | operators::NOT_EQUALS => literal(is_literal),
            operators::IN => match call.args.as_slice() {
                [one, all] => is_literal(&one.expr) || matches!(all.expr, Expr::List(_)) && !of_names(&all.expr),
                _ => false,
            },
            operators::INDEX | operators::OPT_INDEX => literal(is_text),
            "startsWith" => literal(is_text) && self.is_only("startsWith"),
            "endsWith" => literal(is_text) && self.is_only("endsWith"),
            "contains" => literal(is_text) && self.part.is_none() && self.is_only("contains"),
            _ => false,
        }
    }

    /// Of several beginnings the longest has all that a name can have; no text that stands there need have a beginning and
    /// an end, or two texts within.
    fn is_only(&mut self, kind: &'static str) -> bool {
        *self.part.get_or_insert(kind) == kind
    }
}

/// Whether an expression may be a name, or a list of some.
fn of_names(expression: &Expr) -> bool {
    match expression {
        Expr::Literal(_) => false,
        Expr::List(list) => list.elements.iter().any(|element| of_names(&element.expr)),
        Expr::Call(call) => any_of_names(call),
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(variable) => match variable.as_str() {
                "command" => NAMES.contains(&select.field.as_str()),
                "identity" | "connection" => false,
                _ => true,
            },
            operand => of_names(operand),
        },
        _ => true,
    }
}

fn any_of_names(call: &CallExpr) -> bool {
    let mut parts = call.target.as_deref().into_iter().chain(&call.args);
    parts.any(|part| of_names(&part.expr))
}

fn is_literal(expression: &Expr) -> bool {
    matches!(expression, Expr::Literal(_))
}

fn is_text(expression: &Expr) -> bool {
    matches!(expression, Expr::Literal(LiteralValue::String(_)))
}
