//! Extensions that can be vouched for.

/// An extension of PostgreSQL's own whose functions make what they answer of their arguments and nothing else, as `lower` and
/// `+` do: they read no table, write nothing, and run no text that is given to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// `pg_extension.extname`.
    pub name: &'static str,
    /// `pg_proc.probin` of its functions in C.
    pub library: &'static str,
    /// Functions of it of which this is not true.
    pub besides: &'static [&'static str],
}

/// What is here is called trusted by PostgreSQL's own control files, or adds operators to what is (`earthdistance`).
///
/// What is not here runs a text (`tablefunc`: `crosstab`, `connectby`; `xml2`: `xpath_table`; `dblink`), writes (`lo`, `tcn`, `spi`'s
/// triggers), reads what no text names (`pageinspect`, `pgstattuple`, `pgrowlocks`, `pg_stat_statements`) or files
/// (`adminpack`, `file_fdw`), or has no function that a text could call (`dict_int`).
pub const EXTENSIONS: [Extension; 15] = [
    Extension::of("btree_gin", "$libdir/btree_gin"),
    Extension::of("btree_gist", "$libdir/btree_gist"),
    Extension::of("citext", "$libdir/citext"),
    Extension::of("cube", "$libdir/cube"),
    Extension::of("earthdistance", "$libdir/earthdistance"),
    Extension::of("fuzzystrmatch", "$libdir/fuzzystrmatch"),
    Extension::of("hstore", "$libdir/hstore"),
    Extension::of("intarray", "$libdir/_int"),
    // Keeps a bit that it is given for the session.
    Extension::of("isn", "$libdir/isn").besides(&["isn_weak"]),
    Extension::of("ltree", "$libdir/ltree"),
    // Sets a setting to what it is given.
    Extension::of("pg_trgm", "$libdir/pg_trgm").besides(&["set_limit"]),
    Extension::of("pgcrypto", "$libdir/pgcrypto"),
    Extension::of("seg", "$libdir/seg"),
    Extension::of("unaccent", "$libdir/unaccent"),
    Extension::of("uuid-ossp", "$libdir/uuid-ossp"),
];

// === impl Extension ===

impl Extension {
    const fn of(name: &'static str, library: &'static str) -> Self {
        Self {
            name,
            library,
            besides: &[],
        }
    }

    const fn besides(self, besides: &'static [&'static str]) -> Self {
        Self { besides, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::EXTENSIONS;
    use crate::sql::denied::is_trusted_extension;

    #[test]
    fn what_runs_texts_or_keeps_what_it_is_given_is_not_vouched_for() {
        let has = |name: &str| EXTENSIONS.iter().any(|extension| extension.name == name);
        for name in [
            "tablefunc",
            "xml2",
            "dblink",
            "postgres_fdw",
            "file_fdw",
            "adminpack",
            "pageinspect",
            "pgrowlocks",
            "pgstattuple",
            "pg_stat_statements",
            "lo",
            "tcn",
            "autoinc",
            "refint",
            "plpgsql",
            "plpython3u",
        ] {
            assert!(!has(name), "{name}");
        }
        let besides: Vec<&str> = EXTENSIONS
            .iter()
            .flat_map(|extension| extension.besides.iter().copied())
            .collect();
        assert_eq!(besides, ["isn_weak", "set_limit"]);
        for extension in EXTENSIONS.iter().filter(|extension| extension.name != "earthdistance") {
            assert!(is_trusted_extension(extension.name), "{}", extension.name);
        }
    }

    #[test]
    fn names_can_stand_in_a_query_as_they_are() {
        let plain = |text: &str| !text.contains(['\'', '"', '\\', '{', '}', ',', ' ']);
        for extension in EXTENSIONS {
            assert!(plain(extension.name) && plain(extension.library), "{}", extension.name);
            assert!(extension.besides.iter().all(|name| plain(name)), "{}", extension.name);
        }
    }
}
