//! Types that a client states for its parameters: by them the target chooses among functions of one name, and a value that is
//! bound becomes one, by code of users perhaps.

use sallyport_policy::catalog::{Catalog as _, Code};

use crate::postgres::catalog::{FIRST_NORMAL, Known, is_plain};

/// PostgreSQL's own types that drivers state, by OID.
const NAMES: [(u32, &str); 20] = [
    (16, "bool"),
    (17, "bytea"),
    (20, "int8"),
    (21, "int2"),
    (23, "int4"),
    (25, "text"),
    (26, "oid"),
    (114, "json"),
    (700, "float4"),
    (701, "float8"),
    (1042, "bpchar"),
    (1043, "varchar"),
    (1082, "date"),
    (1083, "time"),
    (1114, "timestamp"),
    (1184, "timestamptz"),
    (1186, "interval"),
    (1700, "numeric"),
    (2950, "uuid"),
    (3802, "jsonb"),
];

/// What of a Parse's types says anything: one that is left out at the end is left to the server, as 0 is.
pub(super) fn stated(types: &[u32]) -> &[u32] {
    let said = types.iter().rposition(|oid| *oid != 0).map_or(0, |last| last + 1);
    types.get(..said).unwrap_or_default()
}

/// Whether users made one of them: what becoming one runs, the catalog says.
pub fn any_of_users(types: &[u32]) -> bool {
    types.iter().any(|oid| *oid >= FIRST_NORMAL)
}

/// Whether more hangs on one of them than the statement's names do: code that runs, or parts that are defined elsewhere.
pub(super) fn any_hangs_on_more(types: &[u32], known: &Known) -> bool {
    let code = &known.snapshot.code().types;
    types.iter().any(|oid| code.contains_key(oid) || !is_plain(*oid, known))
}

/// Those whose code runs when a value is bound, as what cannot be seen into.
pub(super) fn opaque(types: &[u32], code: &Code) -> impl Iterator<Item = String> {
    types
        .iter()
        .filter_map(|oid| code.types.get(oid))
        .map(|name| format!("type {name}"))
}

/// How an approver reads the type of one parameter; nothing where the client leaves it to the server.
pub(super) fn shown(oid: Option<&u32>) -> String {
    match oid {
        None | Some(0) => String::new(),
        Some(oid) => match NAMES.iter().find(|(known, _)| known == oid) {
            Some((_, name)) => format!("::{name}"),
            None => format!(" of type {oid}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use sallyport_policy::catalog::Snapshot;
    use sallyport_policy::mask::types::Class;

    use super::*;

    #[test]
    fn a_stated_type_may_hang_on_more_than_its_number() {
        let code = Code {
            types: [(20_000, "checked".to_owned())].into(),
            ..Code::default()
        };
        let known = Known {
            snapshot: Arc::new(Snapshot::new(Vec::new()).with_code(code.clone())),
            types: Arc::new(HashMap::from([
                (20_000, Class::Text),
                (20_001, Class::Text),
                (20_002, Class::Record),
            ])),
            ..Known::default()
        };
        let named: Vec<String> = opaque(&[23, 20_000, 20_001], &code).collect();
        assert_eq!(named, ["type checked"]);
        let cases: [(&[u32], bool, bool); 6] = [
            (&[], false, false),
            (&[0, 23], false, false),
            (&[0, 20_000], true, true),
            (&[20_001], false, true),
            (&[20_002], true, true),
            (&[20_003], true, true),
        ];
        for (stated, hangs, of_users) in cases {
            assert_eq!(any_hangs_on_more(stated, &known), hangs, "{stated:?}");
            assert_eq!(any_of_users(stated), of_users, "{stated:?}");
        }
    }

    #[test]
    fn what_is_left_to_the_server_says_nothing() {
        assert_eq!(stated(&[0, 23, 0, 0]), [0, 23]);
        assert!(stated(&[0, 0]).is_empty());
        let all = [None, Some(&0), Some(&23), Some(&16_384)].map(shown);
        assert_eq!(all, ["", "", "::int4", " of type 16384"]);
    }
}
