//! Whether code of users goes by names of a statement: what looks like a column calls it once the column is gone, and what looks like
//! PostgreSQL's own once a better match for its arguments is there.

use std::sync::Arc;

use sallyport_policy::catalog::{Catalog as _, Code};
use sallyport_policy::sql::Statement;

use crate::postgres::catalog::Known;
use crate::postgres::names::Stated;

/// Whether a name that stands in a statement is one of code of users, or others may.
pub(in crate::postgres) fn may_call(stated: &Stated, known: &Known) -> bool {
    !stated.is_data() || names_any(stated, |name| is_called(name, known.snapshot.code()))
}

/// Whether a name that stands in a statement is one of code of users by now, and was none when the statement was understood. Names of
/// what it executes stand elsewhere: there any may be.
pub(in crate::postgres) fn calls_anew(stated: &Stated, then: &Known, now: &Known) -> bool {
    if Arc::ptr_eq(&then.snapshot, &now.snapshot) {
        return false;
    }
    let (before, after) = (then.snapshot.code(), now.snapshot.code());
    let executes = || stated.readings().any(|statement| !statement.executes.is_empty());
    let came = |name: &str| is_called(name, after) && !is_called(name, before);
    before != after && (executes() || names_any(stated, came))
}

fn names_any(stated: &Stated, is_one: impl Fn(&str) -> bool) -> bool {
    stated.readings().flat_map(Statement::names).any(is_one)
}

/// One that came with a known extension is known by its name, unless somebody else has one by that.
fn is_called(name: &str, code: &Code) -> bool {
    let function = code.functions.contains(name) && !code.known_functions.contains(name);
    let operator = code.operators.contains(name) && !code.known_operators.contains(name);
    function || operator || code.fields.contains(name) || code.has_type(name)
}

#[cfg(test)]
mod tests {
    use sallyport_policy::catalog::Snapshot;
    use sallyport_policy::sql::parse;

    use super::*;

    #[test]
    fn names_of_code_are_told_from_others() {
        let of = |sql: &str| Stated {
            text: sql.into(),
            script: Arc::new(parse(sql).unwrap()),
            index: 0,
        };
        let code = Code {
            fields: ["full_name".to_owned()].into(),
            functions: ["lower".to_owned(), "similarity".to_owned()].into(),
            known_functions: ["similarity".to_owned()].into(),
            operators: ["||".to_owned()].into(),
            types: [(30_000, "label".to_owned())].into(),
            ..Code::default()
        };
        let known = Known {
            snapshot: Arc::new(Snapshot::default().with_code(code)),
            ..Known::default()
        };
        for (sql, calls) in [
            ("select n.full_name from notes n", true),
            ("select (n).full_name from notes n", true),
            ("select lower(name) from notes", true),
            ("select similarity(name, 'a') from notes", false),
            ("select name || 'a' from notes", true),
            ("select n.label from notes n", true),
            ("select n.name, 'full_name' from notes n", false),
        ] {
            assert_eq!(may_call(&of(sql), &known), calls, "{sql}");
            assert_eq!(calls_anew(&of(sql), &Known::default(), &known), calls, "{sql}");
            assert!(!calls_anew(&of(sql), &known, &known), "{sql}");
        }
        let elsewhere = of("execute p");
        assert!(may_call(&elsewhere, &known) && calls_anew(&elsewhere, &Known::default(), &known));
    }
}
