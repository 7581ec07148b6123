//! Errors and notices of a target on their way to the client (POSTGRES.md 19).

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use sallyport_policy::catalog::Snapshot;
use sallyport_policy::mask::{Counts, Masker};

use super::constant::{constant, is_told_by};
use super::named::{is_constant_hint, is_named, is_suggestion};
use super::spelled::is_spelled;
use super::{Field, OWN};
use crate::postgres::frame::{self};

/// PostgreSQL's own SQLSTATEs, with the name of each condition.
static STATES: LazyLock<HashMap<&'static str, String>> = LazyLock::new(|| {
    let lines = include_str!("../sqlstates.txt")
        .lines()
        .filter_map(|line| line.split_once(' '));
    lines.map(|(code, name)| (code, name.replace('_', " "))).collect()
});

/// What stands for a SQLSTATE that PostgreSQL does not have: raise_exception. Five digits of a value fit into one.
const FOREIGN: &str = "P0001";

/// By what an error is read.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The person's masker.
    pub masker: &'a Masker,
    /// Names that may be shown.
    pub catalog: &'a Snapshot,
    /// Whether the statement behind it touches a protected column or code that nobody can see into.
    pub guarded: bool,
    /// The client's text that it is about, if it is about one that stands somewhere.
    pub text: Option<&'a str>,
    /// Names in the client's statement that it is about, unless code that nobody can see into may have chosen the words: it says
    /// whatever it likes.
    pub names: Option<&'a BTreeSet<&'a str>>,
}

/// Whether a SQLSTATE is PostgreSQL's own.
#[must_use]
pub fn is_known(code: &str) -> bool {
    STATES.contains_key(code)
}

// === impl Reader ===

impl Reader<'_> {
    /// Appends the error or notice as the client may see it.
    pub fn put(&self, tag: u8, fields: &[Field<'_>], out: &mut Vec<u8>, counts: &mut Counts) {
        // Where nothing is kept from anybody, codes of an application's own are as good as PostgreSQL's.
        let lawful = |code: &&str| is_known(code) || !(self.guarded || self.masker.acts());
        let state = super::code(fields).filter(lawful).unwrap_or(FOREIGN);
        frame::put(out, tag, |out| {
            for field in fields {
                if let Some(text) = self.field(field, fields, state, counts) {
                    out.push(field.code);
                    out.extend(text.iter().filter(|byte| **byte != 0));
                    out.push(0);
                }
            }
            out.push(0);
        });
    }

    /// What a field becomes; `None` where it goes.
    fn field<'t>(
        &self,
        field: &Field<'t>,
        all: &[Field<'_>],
        state: &str,
        counts: &mut Counts,
    ) -> Option<Cow<'t, [u8]>> {
        match field.code {
            // The door's own mark is not for others to use.
            OWN => None,
            b'C' => Some(Cow::Owned(state.as_bytes().to_vec())),
            b'S' | b'V' => severity(field.text).then_some(Cow::Borrowed(field.text)),
            b'P' | b'p' | b'L' if field.text.iter().all(u8::is_ascii_digit) && field.text.len() <= 10 => {
                (field.code == b'P' || !self.guarded).then_some(Cow::Borrowed(field.text))
            }
            b'P' | b'p' | b'L' => None,
            b'M' if self.guarded => Some(Cow::Owned(self.words(state, all, field.text).into_bytes())),
            b'H' if self.guarded => self.hints(state, field.text).then_some(Cow::Borrowed(field.text)),
            b'R' if self.guarded => is_told_by(field, all, state).then_some(Cow::Borrowed(field.text)),
            b's' | b't' | b'c' | b'n' if self.guarded => self.names(all, field).then_some(Cow::Borrowed(field.text)),
            _ if self.guarded => None,
            _ => Some(self.masker.free_bytes(field.text, counts)),
        }
    }

    /// The words for a SQLSTATE when the target's own may hold a value.
    fn words(&self, state: &str, all: &[Field<'_>], said: &[u8]) -> String {
        if let Some(words) = constant(state, said) {
            return words.to_owned();
        }
        let spelled = self.spelled(state, all, said);
        if let Some(words) = spelled.or_else(|| self.named(state, said)) {
            return words;
        }
        let name = match state {
            // What a notice of a user's own code has.
            "00000" => "notice",
            _ => STATES.get(state).map_or("error", String::as_str),
        };
        let place = self.place(all);
        format!("{name}{place} (the target's words are withheld: they may hold a protected value)")
    }

    /// The target's own words where they tell nothing but what stands in the client's text.
    fn spelled(&self, state: &str, all: &[Field<'_>], said: &[u8]) -> Option<String> {
        let position = all.iter().find(|field| field.code == b'P')?;
        let position = std::str::from_utf8(position.text).ok()?.parse().ok()?;
        let said = std::str::from_utf8(said).ok()?;
        let own = self.names.is_some();
        is_spelled(state, said, self.text?, position, self.catalog, own).then(|| said.to_owned())
    }

    /// The target's own words where they tell nothing but names of the client's statement.
    fn named(&self, state: &str, said: &[u8]) -> Option<String> {
        let said = std::str::from_utf8(said).ok()?;
        is_named(state, said, self.names?, self.catalog).then(|| said.to_owned())
    }

    /// Whether a hint tells nothing but what is always said, or names of the client's statement and of columns there.
    fn hints(&self, state: &str, said: &[u8]) -> bool {
        let suggests = |names| is_suggestion(state, said, names, self.catalog);
        is_constant_hint(said) || self.names.is_some_and(suggests)
    }

    /// Where it happened, as far as the catalog knows the names: most programs show the message alone.
    fn place(&self, all: &[Field<'_>]) -> String {
        let known = |code: u8| {
            let field = all.iter().find(|field| field.code == code)?;
            std::str::from_utf8(field.text).ok().filter(|_| self.names(all, field))
        };
        let (Some(schema), Some(table)) = (known(b's'), known(b't')) else {
            return String::new();
        };
        match (known(b'n'), known(b'c')) {
            (Some(constraint), _) => format!(" of constraint \"{constraint}\" on {schema}.{table}"),
            (None, Some(column)) => format!(" in column \"{column}\" of {schema}.{table}"),
            (None, None) => format!(" on {schema}.{table}"),
        }
    }

    /// Whether the catalog knows the schema, table, column or constraint that an error names: code can put any text there.
    fn names(&self, all: &[Field<'_>], field: &Field<'_>) -> bool {
        let text = |code: u8| {
            let field = all.iter().find(|field| field.code == code)?;
            std::str::from_utf8(field.text).ok()
        };
        let (Some(schema), Some(table), Some(named)) = (text(b's'), text(b't'), text(field.code)) else {
            return false;
        };
        let mut relations = self.catalog.named_anywhere(table);
        let Some(relation) = relations.find(|relation| relation.schema == schema) else {
            return false;
        };
        match field.code {
            b'c' => relation.column(named).is_some(),
            // Programs tell by it what to tell their users.
            b'n' => relation.constraints.iter().any(|known| known == named),
            _ => true,
        }
    }
}

fn severity(text: &[u8]) -> bool {
    matches!(
        text,
        b"ERROR" | b"FATAL" | b"PANIC" | b"WARNING" | b"NOTICE" | b"DEBUG" | b"INFO" | b"LOG"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sallyport_policy::catalog::{Column, Relation};
    use sallyport_policy::mask::{Keys, MaskSet, RuleSet};

    use super::*;
    use crate::postgres::errors::constant::CONSTANT;
    use crate::postgres::errors::fields;
    use crate::postgres::frame::Body;

    fn masker() -> Arc<Masker> {
        MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default())
    }

    fn relay(guarded: bool, pairs: &[(u8, &str)]) -> Vec<(u8, String)> {
        relay_knowing(&Snapshot::default(), guarded, pairs)
    }

    fn relay_knowing(catalog: &Snapshot, guarded: bool, pairs: &[(u8, &str)]) -> Vec<(u8, String)> {
        let mut body = Vec::new();
        for (code, text) in pairs {
            body.push(*code);
            frame::put_cstr(&mut body, text);
        }
        body.push(0);
        let masker = masker();
        let reader = Reader {
            masker: &masker,
            catalog,
            guarded,
            text: Some("select nosuch from people"),
            names: None,
        };
        let mut out = Vec::new();
        reader.put(b'E', &fields(Body::new(&body)).unwrap(), &mut out, &mut masker.counts());
        let got = fields(Body::of(&out)).unwrap();
        got.iter()
            .map(|field| (field.code, String::from_utf8_lossy(field.text).into_owned()))
            .collect()
    }

    #[test]
    fn words_that_may_hold_a_value_are_withheld() {
        let error = [
            (b'S', "ERROR"),
            (b'V', "ERROR"),
            (b'C', "22P02"),
            (b'M', "invalid input syntax for type integer: \"Ada\""),
            (b'D', "Ada"),
            (b'P', "8"),
            (b'W', "Ada"),
            (b's', "Ada"),
            (b'n', "Ada"),
            (OWN, "sallyport"),
        ];
        let got = relay(true, &error);
        assert!(got.iter().all(|(_, text)| !text.contains("Ada")), "{got:?}");
        assert_eq!(got.iter().map(|(code, _)| *code).collect::<Vec<_>>(), b"SVCMP");
        let got = relay(false, &error);
        assert_eq!(got.len(), error.len() - 1, "only the door's own mark goes");
    }

    #[test]
    fn names_that_the_catalog_knows_are_shown_with_what_they_belong_to() {
        let relation = |name: &str, constraint: &str| Relation {
            oid: u32::try_from(name.len()).unwrap(),
            schema: "public".to_owned(),
            name: name.to_owned(),
            constraints: vec![constraint.to_owned()],
            ..Relation::default()
        };
        let catalog = Snapshot::new(vec![
            relation("people", "people_pkey"),
            relation("accounts", "accounts_pkey"),
        ]);
        let shown = |table: &str, constraint: &str| {
            let error = [(b'C', "23505"), (b's', "public"), (b't', table), (b'n', constraint)];
            let got = relay_knowing(&catalog, true, &error);
            String::from_utf8(got.into_iter().map(|(code, _)| code).collect()).unwrap()
        };
        assert_eq!(shown("people", "people_pkey"), "Cstn");
        assert_eq!(shown("people", "accounts_pkey"), "Cst");
        assert_eq!(shown("people", "Ada"), "Cst");
        assert_eq!(shown("Ada", "people_pkey"), "C");
    }

    #[test]
    fn the_message_says_where_as_far_as_the_catalog_knows_it() {
        let column = Column {
            attnum: 1,
            name: "name".to_owned(),
            type_oid: 25,
            generated: None,
        };
        let catalog = Snapshot::new(vec![Relation {
            schema: "public".to_owned(),
            name: "people".to_owned(),
            columns: vec![column],
            constraints: vec!["people_pkey".to_owned()],
            ..Relation::default()
        }]);
        for (table, code, named, place) in [
            (
                "people",
                b'n',
                "people_pkey",
                " of constraint \"people_pkey\" on public.people",
            ),
            ("people", b'c', "name", " in column \"name\" of public.people"),
            ("people", b'n', "Ada", " on public.people"),
            ("Ada", b'n', "people_pkey", ""),
        ] {
            let error = [
                (b'C', "23505"),
                (b'M', "Ada"),
                (b's', "public"),
                (b't', table),
                (code, named),
            ];
            let got = relay_knowing(&catalog, true, &error);
            let words =
                format!("unique violation{place} (the target's words are withheld: they may hold a protected value)");
            assert!(got.contains(&(b'M', words)), "{got:?}");
        }
    }

    #[test]
    fn words_that_are_always_the_same_are_kept() {
        let said = |code: &str, words: &str| {
            let got = relay(true, &[(b'C', code), (b'M', words)]);
            got.iter().any(|(field, text)| *field == b'M' && text == words)
        };
        assert!(said("57014", "canceling statement due to statement timeout"));
        assert!(!said("57014", "canceling statement due to statement timeout of Ada"));
        assert!(!said("P0001", "canceling statement due to statement timeout"));
        assert!(CONSTANT.iter().all(|(code, words)| is_known(code) && said(code, words)));
    }

    #[test]
    fn hints_that_are_always_the_same_are_kept() {
        let hinted = |words: &str| relay(true, &[(b'C', "2BP01"), (b'H', words)]).len() == 2;
        assert!(hinted("Use DROP ... CASCADE to drop the dependent objects too."));
        assert!(!hinted("Ada"));
    }

    #[test]
    fn a_name_of_the_clients_own_is_told() {
        let said = |words: &str, position: &str| {
            let got = relay(true, &[(b'C', "42703"), (b'M', words), (b'P', position)]);
            got.iter().any(|(field, text)| *field == b'M' && text == words)
        };
        assert!(said("column \"nosuch\" does not exist", "8"));
        assert!(!said("column \"Ada\" does not exist", "8"));
        assert!(!said("column \"nosuch\" does not exist", "x"));
    }

    #[test]
    fn what_has_only_to_be_prepared_anew_is_told_by_the_source_function() {
        let told = |words: &str, routine: &str| {
            let got = relay(true, &[(b'C', "0A000"), (b'M', words), (b'R', routine)]);
            got.iter().any(|(field, text)| *field == b'R' && text == routine)
        };
        let words = "cached plan must not change result type";
        assert!(told(words, "RevalidateCachedQuery"));
        assert!(!told(words, "Ada"));
        assert!(!told("Ada", "RevalidateCachedQuery"));
    }

    #[test]
    fn a_foreign_sqlstate_or_severity_says_nothing() {
        for code in ["53690", "5369", "", "22P02X"] {
            assert!(
                relay(true, &[(b'S', "ERROR"), (b'C', code)]).contains(&(b'C', "P0001".into())),
                "{code}"
            );
        }
        assert_eq!(
            relay(false, &[(b'S', "536-90-4399"), (b'C', "22P02")]),
            [(b'C', "22P02".to_owned())]
        );
        assert_eq!(relay(false, &[(b'P', "536904399536")]), []);
        // An application's own, where no rule acts.
        assert_eq!(relay(false, &[(b'C', "MY001")]), [(b'C', "MY001".to_owned())]);
    }

    #[test]
    fn code_of_a_type_that_speaks_at_the_place_of_a_literal_is_not_believed() {
        let said = |state: &str, said: &str, text: &str| is_spelled(state, said, text, 8, &Snapshot::default(), false);
        let type_of = "invalid input syntax for type a536904399: \"(1)\"";
        assert!(!said("22P02", type_of, "select '(1)'::pair"));
        for text in ["e'(1)'", "U&'(1)'", "$$(1)$$", "$a$(1)$a$", "x '(1)'"] {
            let name = text.split(['\'', '(', '&']).next().unwrap().trim().to_ascii_lowercase();
            let words = format!("function {name}(a536904399) does not exist");
            assert!(!said("42883", &words, &format!("select {text}::pair")), "{text}");
        }
        assert!(said("42883", "function f(text) does not exist", "select f (nam)"));
    }
}
