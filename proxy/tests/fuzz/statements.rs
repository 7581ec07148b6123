//! The judge of statements, and the walker that follows values through them.

use std::sync::Arc;

use sallyport_policy::catalog::{Column, Relation, RelationKind, SearchPath, Snapshot};
use sallyport_policy::columns::ByRule;
use sallyport_policy::decide::Verdict;
use sallyport_policy::mask::{Keys, Masker, ProtectedColumns};
use sallyport_policy::sql::{self, value_without_secrets, without_secrets};
use sallyport_policy::{Policy, Subject};
use sallyport_proxy::postgres::catalog::Known;
use sallyport_proxy::postgres::frame::{HEADER, Head, put, put_cstr};
use sallyport_proxy::postgres::judge::{self, Context, Plan};
use sallyport_proxy::postgres::names::Names;
use sallyport_proxy::postgres::script::{self, Text};
use sallyport_proxy::postgres::unit::{Collector, Found};

use super::common::door::Given;
use super::{ROUNDS, corpus, fuzz};

/// Every attack that the leak cases try.
const CASES: [&str; 2] = [
    include_str!("../leaks/cases.jsonl"),
    include_str!("../leaks/variants.jsonl"),
];

/// What a door knows of one database, under rules.
pub struct Knowledge {
    policy: Policy,
    /// Of somebody who sees nothing that is protected.
    pub masker: Arc<Masker>,
    /// The catalog.
    pub known: Arc<Known>,
    /// How names are looked up.
    pub path: SearchPath,
}

/// What became of a command: the verdict, whether the door refuses it by itself, what is written of it, and its normal form.
type Judged = (Verdict, bool, Arc<str>, Option<[u8; 32]>);

impl Knowledge {
    /// Under these rules.
    pub fn under(given: &Given) -> Self {
        let policy = Policy::with_keys(&given.carrier(1, 1), Keys::default()).unwrap();
        let snapshot = catalog();
        let protected = ProtectedColumns::resolve(policy.masks().rules(), &snapshot, None, &ByRule::new());
        Self {
            masker: policy.masker(&Subject::default()),
            known: Arc::new(Known {
                snapshot: Arc::new(snapshot),
                protected: Arc::new(protected),
                ..Known::default()
            }),
            path: SearchPath::from_setting("public", "app", None).unwrap(),
            policy,
        }
    }

    /// The same catalog, of which nothing is remembered.
    fn anew(&self) -> Arc<Known> {
        Arc::new(Known {
            snapshot: Arc::clone(&self.known.snapshot),
            protected: Arc::clone(&self.known.protected),
            ..Known::default()
        })
    }

    /// Judges a unit as a session does. What a thread remembers, it remembers by the name of the database.
    fn judged(
        &self,
        known: &Arc<Known>,
        database: &str,
        understand: impl FnOnce(&Context<'_>, &mut Names) -> Plan,
    ) -> Vec<Judged> {
        let subject = Subject::default();
        let context = Context {
            policy: &self.policy,
            subject: &subject,
            masker: &self.masker,
            known,
            path: Some(&self.path),
            database,
            role: "sallyport",
            unsettled: false,
            opened: false,
            in_transaction: false,
            at: 0,
            shared: true,
            uncommitted: false,
        };
        let mut names = Names::default();
        let plan = understand(&context, &mut names);
        names.settle();
        let _ = plan.footprints(known);
        let judged = plan.asked.iter().map(|asked| {
            // As it is recorded, and as who approves it reads it.
            let _ = without_secrets(asked.covered());
            asked.shown.iter().for_each(|shown| drop(value_without_secrets(shown)));
            let verdict = self.policy.decide(&subject, &asked.command).verdict;
            let (covered, fingerprint) = (Arc::clone(asked.covered()), asked.fingerprint().map(|digest| digest.0));
            (verdict, asked.refused.is_some(), covered, fingerprint)
        });
        judged.collect()
    }

    fn query(&self, known: &Arc<Known>, database: &str, text: &Text) -> Vec<Judged> {
        let head = Head {
            tag: b'Q',
            len: HEADER + text.text.len() + 1,
        };
        let judged = self.judged(known, database, |context, names| {
            judge::query(context, names, head, text)
        });
        assert_eq!(judged.len(), text.script.statements.len(), "a command each");
        judged
    }

    /// Parse, Bind with a value in text, Describe, Execute and Sync.
    fn pipeline(&self, text: &str) -> Vec<Judged> {
        let mut bytes = Vec::new();
        put(&mut bytes, b'P', |out| {
            put_cstr(out, "");
            put_cstr(out, text);
            out.extend([0, 0]);
        });
        put(&mut bytes, b'B', |out| {
            out.extend(b"\0\0\0\0\0\x01\0\0\0\x0b536-90-4399\0\0")
        });
        put(&mut bytes, b'D', |out| out.extend(b"P\0"));
        put(&mut bytes, b'E', |out| out.extend(b"\0\0\0\0\0"));
        put(&mut bytes, b'S', |_| {});
        let Ok(Some(Found::Pipeline(heads, _))) = Collector::default().next(&bytes) else {
            panic!("a whole pipeline")
        };
        let messages = judge::sent(&bytes, &heads).unwrap();
        self.judged(&self.known, "pipelines", |context, names| {
            judge::pipeline(context, names, messages)
        })
    }
}

/// What statements of the cases are about: a table, views of it and of each other, a partition, a table with rules.
fn catalog() -> Snapshot {
    let relation = |oid: u32, name: &str, columns: &[&str]| Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        columns: (1..)
            .zip(columns)
            .map(|(attnum, name)| Column {
                attnum,
                name: (*name).into(),
                type_oid: 25,
                generated: None,
            })
            .collect(),
        ..Relation::default()
    };
    let view = |oid: u32, name: &str, columns: &[&str], definition: &str| Relation {
        kind: RelationKind::View,
        definition: Some(definition.into()),
        ..relation(oid, name, columns)
    };
    let mut partition = relation(20_003, "events_1", &["id", "ssn"]);
    partition.parents = vec![20_002];
    let mut ruled = relation(20_004, "t9", &["id", "x"]);
    (ruled.active, ruled.ruled) = (true, true);
    Snapshot::new(vec![
        relation(
            20_000,
            "customers",
            &["id", "name", "ssn", "card", "ssn_num", "doc", "raw", "tags"],
        ),
        relation(20_001, "acct", &["id", "ssn"]),
        relation(20_002, "events", &["id", "ssn"]),
        partition,
        ruled,
        view(
            20_005,
            "v_cust",
            &["id", "tax_ref"],
            "SELECT id, ssn AS tax_ref FROM public.customers;",
        ),
        view(20_006, "v9", &["x"], "SELECT reverse(tax_ref) AS x FROM public.v_cust;"),
    ])
}

/// What the cases send.
fn sent_by_cases() -> impl Iterator<Item = Vec<u8>> {
    let lines = CASES.into_iter().flat_map(str::lines);
    lines.flat_map(|line| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let statements = case["sql"].as_array().cloned().unwrap_or_default();
        statements
            .into_iter()
            .filter_map(|sql| Some(sql.as_str()?.as_bytes().to_vec()))
    })
}

#[test]
fn statements() {
    let seeds: Vec<Vec<u8>> = sent_by_cases().chain(corpus::of("statements")).collect();
    assert!(seeds.len() > 500);
    let profiles = ["Standard", "Strict"].map(|profile| (profile, Knowledge::under(&Given::cases_under(profile))));
    fuzz("statements", ROUNDS / 4, &seeds, |bytes, dice| {
        // What a message carries has no NUL in it.
        let text = String::from_utf8_lossy(bytes).replace('\0', "");
        let Ok(parsed) = sql::parse(&text) else { return };
        for statement in parsed.readings().flatten() {
            assert!(
                text.get(statement.range.clone()).is_some(),
                "a statement is a part of its text"
            );
        }
        let (profile, knowledge) = dice.pick(&profiles);
        let read = script::read(&text).unwrap();
        let parsed = Text {
            text: Arc::clone(&read.text),
            script: Arc::new(parsed),
        };
        let judged = knowledge.query(&knowledge.known, profile, &read);
        assert_eq!(
            judged,
            knowledge.query(&knowledge.anew(), "anew", &parsed),
            "what was read or understood before means what it would mean now"
        );
        knowledge.pipeline(&text);
    });
}
