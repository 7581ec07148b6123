//! What can be vouched for by the extension that it came with.

use std::collections::BTreeSet;

use sallyport_policy::catalog::Code;
use sallyport_policy::sql;

use super::number;
use crate::postgres::ask::{Row, text};
use crate::postgres::catalog::FIRST_NORMAL;

/// Operators that functions of known extensions apply by their bare names, where these are looked up when they run.
const APPLIED: [&str; 2] = ["=", "||"];

/// Functions and operators of known extensions, and what else has a name of theirs.
#[derive(Default)]
pub(super) struct Vouched<'a> {
    functions: BTreeSet<&'a str>,
    /// Those that look up what they apply.
    looking_up: BTreeSet<&'a str>,
    operators: BTreeSet<&'a str>,
    other_functions: BTreeSet<&'a str>,
    other_operators: BTreeSet<&'a str>,
}

// === impl Vouched ===

impl<'a> Vouched<'a> {
    /// Takes a row of the answer to the question for namesakes, if it is about these: `Some(false)` if it is not, `None` if it
    /// cannot be read.
    pub(super) fn takes(&mut self, row: &'a Row) -> Option<bool> {
        let name = text(row, 1);
        match text(row, 0) {
            "v" => self.functions.insert(name),
            "k" => self.looking_up.insert(name),
            "w" => self.operators.insert(name),
            "x" => {
                // PostgreSQL's own is known by its name.
                let own = number(row, 2)? < FIRST_NORMAL && sql::safety(None, name) == sql::Safety::Safe;
                !own && self.other_functions.insert(name)
            }
            "y" => self.other_operators.insert(name),
            _ => return Some(false),
        };
        Some(true)
    }

    /// Puts into the code of a catalog what can be vouched for: what nobody else has anything by the name of.
    pub(super) fn vouch(mut self, code: &mut Code) {
        if APPLIED.iter().any(|name| code.operators.contains(*name)) {
            code.functions.extend(self.looking_up.into_iter().map(str::to_owned));
        } else {
            self.functions.append(&mut self.looking_up);
        }
        let functions = self.functions.difference(&self.other_functions);
        let functions = functions.filter(|name| !code.functions.contains(**name));
        code.known_functions = functions.map(|name| (*name).to_owned()).collect();
        let operators = self.operators.difference(&self.other_operators);
        let operators = operators.filter(|name| !code.operators.contains(**name));
        code.known_operators = operators.map(|name| (*name).to_owned()).collect();
        let known = &code.known_functions;
        code.fields.retain(|name| !known.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: [&str; 3]) -> Row {
        values.iter().map(|value| Some((*value).to_owned())).collect()
    }

    fn vouched(rows: &[[&str; 3]], users: Code) -> Code {
        let rows: Vec<Row> = rows.iter().map(|values| row(*values)).collect();
        let (mut known, mut code) = (Vouched::default(), users);
        for row in &rows {
            assert_eq!(known.takes(row), Some(true), "{row:?}");
        }
        known.vouch(&mut code);
        code
    }

    #[test]
    fn what_nobody_else_has_the_name_of_is_vouched_for() {
        let named = |name: &str| [name.to_owned()].into();
        let users = Code {
            functions: named("digest"),
            fields: ["akeys".to_owned(), "set_limit".to_owned()].into(),
            operators: named("<%"),
            ..Code::default()
        };
        let code = vouched(
            &[
                ["v", "akeys", "0"],
                // By users.
                ["v", "digest", "0"],
                // By another extension.
                ["v", "distance", "0"],
                ["x", "distance", "20000"],
                // By PostgreSQL, where it is vouched for and where it is not.
                ["v", "max", "0"],
                ["x", "max", "2116"],
                ["v", "query_to_xml", "0"],
                ["x", "query_to_xml", "2926"],
                ["k", "replace", "0"],
                ["x", "replace", "2087"],
                ["w", "%>", "0"],
                ["w", "<%", "0"],
                ["w", "<->", "0"],
                ["y", "<->", "0"],
            ],
            users,
        );
        assert!(
            code.known_functions.iter().eq(["akeys", "max", "replace"]),
            "{:?}",
            code.known_functions
        );
        assert!(code.known_operators.iter().eq(["%>"]), "{:?}", code.known_operators);
        assert!(code.functions.iter().eq(["digest"]));
        assert!(code.fields.iter().eq(["set_limit"]));
    }

    #[test]
    fn what_looks_up_what_it_applies_is_code_of_users_where_they_have_that() {
        let code = vouched(
            &[["k", "replace", "0"], ["v", "akeys", "0"]],
            Code {
                operators: ["||".to_owned()].into(),
                ..Code::default()
            },
        );
        assert!(code.functions.iter().eq(["replace"]));
        assert!(code.known_functions.iter().eq(["akeys"]));
    }

    #[test]
    fn other_rows_are_left_to_others() {
        let others = [row(["f", "akeys", "0"]), row(["t", "", "20000"])];
        let broken = row(["x", "akeys", "-"]);
        let mut known = Vouched::default();
        assert!(others.iter().all(|other| known.takes(other) == Some(false)));
        assert_eq!(known.takes(&broken), None);
    }
}
