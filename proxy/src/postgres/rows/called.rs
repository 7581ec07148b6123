//! Whether code of users goes by names of a statement: what looks like a column calls it once the column is gone.

use sallyport_policy::catalog::{Catalog as _, Code};
use sallyport_policy::sql::Statement;

use crate::postgres::catalog::Known;
use crate::postgres::names::Stated;

/// Whether a name that stands in a statement is one of a function of users, or of a type of theirs with code, too.
pub(in crate::postgres) fn may_call(stated: &Stated, known: &Known) -> bool {
    let code = known.snapshot.code();
    let mut names = stated.readings().flat_map(Statement::names);
    names.any(|name| is_called(name, code))
}

fn is_called(name: &str, code: &Code) -> bool {
    code.fields.contains(name) || code.functions.contains(name) || code.has_type(name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sallyport_policy::catalog::Snapshot;
    use sallyport_policy::sql::parse;

    use super::*;

    #[test]
    fn names_of_code_are_told_from_others() {
        let code = Code {
            fields: ["full_name".to_owned()].into(),
            functions: ["lower".to_owned()].into(),
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
            ("select n.label from notes n", true),
            ("select n.name, 'full_name' from notes n", false),
        ] {
            let script = Arc::new(parse(sql).unwrap());
            let stated = Stated {
                text: sql.into(),
                script,
                index: 0,
            };
            assert_eq!(may_call(&stated, &known), calls, "{sql}");
        }
    }
}
