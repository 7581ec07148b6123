//! Types that a client states for its parameters: by them the target chooses among functions of one name.

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
    use super::*;

    #[test]
    fn what_is_left_to_the_server_says_nothing() {
        assert_eq!(stated(&[0, 23, 0, 0]), [0, 23]);
        assert!(stated(&[0, 0]).is_empty());
        let all = [None, Some(&0), Some(&23), Some(&16_384)].map(shown);
        assert_eq!(all, ["", "", "::int4", " of type 16384"]);
    }
}
