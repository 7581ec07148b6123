//! Whatever parses bytes, given bytes that nobody meant: no panic, no endless loop, the same for every chunking.
//!
//! Mutations are drawn from a seed, so that every run is the same; `SALLYPORT_FUZZ_SECONDS=600 cargo test --test fuzz` goes on
//! for as long with others, and names the seed of what it finds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::door::Given;
use sallyport_audit::Time;
use sallyport_policy::catalog::{Column, Relation, RelationKind, SearchPath, Snapshot};
use sallyport_policy::mask::copy::{CopyFormat, CopyMasker};
use sallyport_policy::mask::{ColumnInfo, Format, Keys, Masker, RowPlan, RuleSet, Source};
use sallyport_policy::{Policy, Subject, carrier, sql};
use sallyport_proxy::door::Verifier;
use sallyport_proxy::identity::{Identities, Pace};
use sallyport_proxy::postgres::frame::{self, Body, put, put_cstr};
use sallyport_proxy::postgres::unit::{Collector, Found};
use sallyport_proxy::postgres::{auth, errors, judge, message, oauthbearer, startup};

/// Rounds of each target where no time is given.
const ROUNDS: u64 = 20_000;
/// The longest input.
const MAX: usize = 4_096;

/// xorshift64*: numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Bytes near to those of a seed.
fn mutated(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = dice.pick(seeds).clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(24)).min(bytes.len());
        match dice.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = *dice.pick(&[0, 1, 0x7f, 0x80, 0xff, b'\\', b'"', b'\'', b'\n']),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => {
                let other = dice.pick(seeds);
                let from = dice.below(other.len() + 1);
                bytes.extend_from_slice(&other[from..]);
            }
            6 if at + 4 <= bytes.len() => {
                let number = *dice.pick(&[
                    0u32,
                    1,
                    3,
                    4,
                    0xff,
                    0xffff,
                    0x7fff_ffff,
                    0x8000_0000,
                    0xffff_fffe,
                    0xffff_ffff,
                ]);
                bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            _ => bytes.insert(at, u8::try_from(dice.below(256)).unwrap()),
        }
    }
    bytes.truncate(MAX);
    bytes
}

/// Runs `target` on mutations of `seeds`.
fn fuzz(rounds: u64, seeds: &[Vec<u8>], target: impl Fn(&[u8], &mut Dice)) {
    let seconds = std::env::var("SALLYPORT_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut seed = 0;
    while until.map_or(seed < rounds, |until| Instant::now() < until) {
        seed += 1;
        let mut dice = Dice::new(seed);
        // The seeds themselves first.
        let bytes = match seeds.get(usize::try_from(seed).unwrap() - 1) {
            Some(whole) => whole.clone(),
            None => mutated(&mut dice, seeds),
        };
        let ran = catch_unwind(AssertUnwindSafe(|| target(&bytes, &mut dice)));
        assert!(ran.is_ok(), "seed {seed}: {}", bytes.escape_ascii());
    }
    println!("{seed} inputs");
}

fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, tag, |out| out.extend_from_slice(body));
    out
}

/// Every message of a client, and units of them.
fn client_messages() -> Vec<Vec<u8>> {
    let mut each = vec![
        framed(b'Q', b"select 1; delete from t\0"),
        framed(b'P', b"s\0select $1, 'a\\'' \0\0\x02\0\0\0\x17\0\0\0\x19"),
        framed(
            b'B',
            b"p\0s\0\0\x02\0\x01\0\0\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\x01\0\x01",
        ),
        framed(b'D', b"Sname\0"),
        framed(b'D', b"P\0"),
        framed(b'E', b"p\0\0\0\0\x05"),
        framed(b'C', b"Ss\0"),
        framed(b'S', b""),
        framed(b'H', b""),
        framed(b'F', &[0, 0, 5, 19, 0, 0, 0, 0, 0, 0]),
        framed(b'd', b"1\tone\n"),
        framed(b'c', b""),
        framed(b'f', b"no\0"),
        framed(b'X', b""),
    ];
    let whole = each.concat();
    each.push(whole);
    each
}

/// The units of a stream that arrives in pieces, or the error at which it ends.
fn units(stream: &[u8], dice: &mut Dice) -> (Vec<String>, bool) {
    let (mut buffer, mut collector, mut found) = (Vec::new(), Collector::default(), Vec::new());
    let mut rest = stream;
    loop {
        loop {
            match collector.next(&buffer) {
                Err(_) => return (found, true),
                Ok(None) => break,
                Ok(Some(unit)) => {
                    assert!(!unit.is_empty() && unit.len() <= buffer.len());
                    if let Found::Pipeline(heads, _) = &unit {
                        let _ = judge::sent(&buffer[..unit.len()], heads);
                    }
                    found.push(format!("{unit:?}"));
                    buffer.drain(..unit.len());
                }
            }
        }
        if rest.is_empty() {
            return (found, false);
        }
        let n = 1 + dice.below(rest.len());
        buffer.extend_from_slice(&rest[..n]);
        rest = &rest[n..];
    }
}

#[test]
fn frames_and_units() {
    fuzz(ROUNDS, &client_messages(), |bytes, dice| {
        let (one, other) = (units(bytes, dice), units(bytes, dice));
        assert_eq!(one, other, "units do not depend on how bytes arrive");
    });
}

#[test]
fn bodies_of_messages() {
    let mut seeds: Vec<Vec<u8>> = client_messages()
        .into_iter()
        .map(|message| message[5..].to_vec())
        .collect();
    seeds.push(b"\0\x01name\0\0\0\0\x07\0\x01\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0".to_vec());
    seeds.push(b"SERROR\0C22P02\0Mwords\0\0".to_vec());
    seeds.push(b"\0\0\0\x07channel\0payload\0".to_vec());
    seeds.push(b"OAUTHBEARER\0\0\0\0\x15n,,\x01auth=Bearer a\x01\x01".to_vec());
    fuzz(ROUNDS, &seeds, |bytes, _| {
        let body = Body::new(bytes);
        let _ = (
            message::query(body).is_ok(),
            message::parse(body).is_ok(),
            message::bind(body).is_ok(),
        );
        let _ = (
            message::named(body).is_ok(),
            message::execute(body).is_ok(),
            message::ready(body).is_ok(),
        );
        let _ = (
            message::row_description(body).is_ok(),
            message::parameter_status(body).is_ok(),
        );
        let _ = (message::key_data(body).is_ok(), message::notification(body).is_ok());
        let _ = (
            message::command_complete(body).is_ok(),
            message::copy_response(body).is_ok(),
        );
        let _ = (
            message::parameter_description(body).is_ok(),
            errors::fields(body).is_ok(),
        );
        let _ = (
            auth::password(body).is_ok(),
            oauthbearer::initial(body).is_ok(),
            oauthbearer::acknowledged(body).is_ok(),
        );
        let _ = (
            frame::head(bytes, frame::client_cap).is_ok(),
            frame::head(bytes, frame::stream_cap).is_ok(),
        );
    });
}

#[test]
fn startup_packets() {
    let packet = |version: u32, pairs: &[(&str, &str)]| {
        let mut packet = version.to_be_bytes().to_vec();
        for (key, value) in pairs {
            put_cstr(&mut packet, key);
            put_cstr(&mut packet, value);
        }
        packet.push(0);
        packet
    };
    let options = r"-c search_path=a\ b --sallyport.on_hold=refuse -csallyport.login=oauth";
    let seeds = [
        packet(
            0x3_0000,
            &[("user", "alice"), ("database", "bank"), ("options", options)],
        ),
        packet(
            0x3_0002,
            &[
                ("user", "alice"),
                ("_pq_.x", "1"),
                ("replication", "off"),
                ("client_encoding", "UTF8"),
            ],
        ),
        [&80_877_102u32.to_be_bytes()[..], &[0, 0, 0, 7, 1, 2, 3, 4]].concat(),
        80_877_103u32.to_be_bytes().to_vec(),
    ];
    fuzz(ROUNDS, &seeds, |bytes, _| drop(startup::read(bytes)));
}

fn maskers() -> Vec<Arc<Masker>> {
    let rules = |action: serde_json::Value| {
        let columns = serde_json::json!({"columns": ["public.customers.ssn"]});
        let detectors =
            serde_json::json!({"detectors": ["US_SSN", "CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE", "PHONE_NUMBER"]});
        Given::open()
            .mask("columns", serde_json::json!({"match": columns, "action": action}))
            .mask("detectors", serde_json::json!({"match": detectors, "action": action}))
    };
    let actions = [
        serde_json::json!({"type": "Redact"}),
        serde_json::json!({"type": "Null"}),
        serde_json::json!({"type": "Partial", "partial": {"keepLast": 4}}),
    ];
    let masker = |action: serde_json::Value| {
        let policy = Policy::with_keys(&rules(action).carrier(1, 1), Keys::default()).unwrap();
        policy.masker(&Subject::default())
    };
    actions.into_iter().map(masker).collect()
}

/// Types with a decoder of their own, and some without.
const TYPES: [u32; 34] = [
    16, 17, 18, 19, 20, 21, 23, 25, 114, 142, 700, 701, 869, 1000, 1007, 1009, 1016, 1042, 1043, 1082, 1114, 1184,
    1231, 1700, 2249, 2287, 2950, 3802, 3807, 3904, 3906, 4451, 600, 99_999,
];

fn plan(masker: &Arc<Masker>, count: usize, dice: &mut Dice, format: Option<Format>) -> RowPlan {
    let mut column = |number: usize| ColumnInfo {
        name: format!("c{number}"),
        type_oid: *dice.pick(&TYPES),
        type_modifier: -1,
        format: format.unwrap_or(*dice.pick(&[Format::Text, Format::Binary])),
        source: dice
            .pick(&[
                Source::Plain,
                Source::Unknown,
                Source::Column(RuleSet::one(0)),
                Source::Tainted(RuleSet::one(0)),
            ])
            .clone(),
        class: None,
    };
    let columns: Vec<_> = (0..count).map(&mut column).collect();
    masker.plan(&columns)
}

fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        body.extend(
            value
                .map_or(-1, |value| i32::try_from(value.len()).unwrap())
                .to_be_bytes(),
        );
        body.extend(value.unwrap_or_default());
    }
    body
}

#[test]
fn rows_of_every_type() {
    let maskers = maskers();
    let array = b"\0\0\0\x01\0\0\0\x01\0\0\0\x19\0\0\0\x02\0\0\0\x01\0\0\0\x0b536-90-4399\xff\xff\xff\xff";
    let record = b"\0\0\0\x02\0\0\0\x19\0\0\0\x0b536-90-4399\0\0\0\x17\0\0\0\x04\0\0\0\x07";
    let numeric = b"\0\x03\0\x02\0\0\0\0\0\x05\x14\x4c\x11\x2f";
    let seeds: Vec<Vec<u8>> = vec![
        row(&[Some(b"536-90-4399"), None, Some(b"x")]),
        row(&[Some(array), Some(record), Some(numeric)]),
        row(&[
            Some(b"{\"a\": [1, \"536-90-4399\", null]}"),
            Some(b"\x01{\"n\": 536904399}"),
            Some(b"{\"536-90-4399\",NULL}"),
        ]),
        row(&[
            Some(b"(Ada,\"536-90-4399\")"),
            Some(b"[2026-01-01,2027-01-01)"),
            Some(b"\\x3533362d39302d34333939"),
        ]),
        row(&[
            Some(b"\x02\0\0\0\x04\0\0\0\x01\0\0\0\x04\0\0\0\x09"),
            Some(&[0; 16]),
            Some(b"536904399"),
        ]),
    ];
    fuzz(ROUNDS, &seeds, |bytes, dice| {
        let masker = dice.pick(&maskers);
        let plan = plan(masker, 3, dice, None);
        let mut counts = plan.counts();
        let mut out = b"before".to_vec();
        let written = plan.row(bytes, &mut out, &mut counts);
        assert!(out.starts_with(b"before"), "what stood there stays");
        if !matches!(written, Ok(sallyport_policy::mask::RowOutcome::Written)) {
            assert_eq!(out, b"before");
            return;
        }
        // What is sent is a row of as many columns.
        let mut body = Body::new(&out[6..]);
        assert_eq!(body.count(), Ok(3));
        for _ in 0..3 {
            body.value().unwrap();
        }
        body.end().unwrap();
    });
}

#[test]
fn copy_streams() {
    let maskers = maskers();
    let binary = [
        &b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..],
        b"\0\x03\0\0\0\x0b536-90-4399\xff\xff\xff\xff\0\0\0\x01x",
        b"\xff\xff",
    ]
    .concat();
    let seeds: Vec<Vec<u8>> = vec![
        b"1\t536-90-4399\tx\\ty\n2\t\\N\t\\x41\\101\n\\.\n".to_vec(),
        b"1,\"536-90-4399\",\"a\"\"b\"\r\n2,,\"multi\nline\"\n".to_vec(),
        b"65366-90-439961,1,2\n".to_vec(),
        binary,
    ];
    let formats = [
        CopyFormat::text(),
        CopyFormat::csv(),
        CopyFormat::Binary,
        CopyFormat::Csv {
            delimiter: b';',
            quote: b'6',
            escape: b'\\',
            null: b"NULL".to_vec(),
            header: true,
        },
        CopyFormat::Text {
            delimiter: b'|',
            null: b"-".to_vec(),
            header: true,
        },
    ];
    fuzz(ROUNDS, &seeds, |bytes, dice| {
        let masker = dice.pick(&maskers);
        let format = dice.pick(&formats).clone();
        let form = if format == CopyFormat::Binary {
            Format::Binary
        } else {
            Format::Text
        };
        let plan = plan(masker, 3, dice, Some(form));
        let run = |dice: &mut Dice| {
            let mut counts = plan.counts();
            let mut copy = CopyMasker::with_max_field(plan.clone(), format.clone(), 64);
            let (mut out, mut rest) = (Vec::new(), bytes);
            while !rest.is_empty() {
                let n = 1 + dice.below(rest.len());
                if copy.push(&rest[..n], &mut out, &mut counts).is_err() {
                    return None;
                }
                rest = &rest[n..];
            }
            copy.finish(&mut out, &mut counts).ok().map(|()| out)
        };
        assert_eq!(run(dice), run(dice), "where messages end means nothing");
    });
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

#[test]
fn statements() {
    let cases = [include_str!("leaks/cases.jsonl"), include_str!("leaks/variants.jsonl")];
    let cases = cases.iter().flat_map(|cases| cases.lines()).flat_map(|line| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let statements = case["sql"].as_array().cloned().unwrap_or_default();
        statements
            .into_iter()
            .filter_map(|sql| Some(sql.as_str()?.as_bytes().to_vec()))
    });
    let seeds: Vec<Vec<u8>> = cases.collect();
    assert!(seeds.len() > 500);
    let policy = Policy::with_keys(&Given::cases().carrier(1, 1), Keys::default()).unwrap();
    let (subject, catalog) = (Subject::default(), catalog());
    let path = SearchPath::from_setting("public", "app", None).unwrap();
    fuzz(ROUNDS / 4, &seeds, |bytes, _| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(script) = sql::parse(&text) else { return };
        for statement in script.readings().flatten() {
            assert!(
                text.get(statement.range.clone()).is_some(),
                "a statement is a part of its text"
            );
            let _ = sql::lineage(statement, &catalog, &path);
        }
        let command = sallyport_policy::decide::Command {
            text: text.as_ref().into(),
            ..Default::default()
        };
        let _ = policy.decide(&subject, &command);
    });
}

#[test]
fn tokens_and_carriers() {
    sallyport_runtime::crypto::install();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let identities = Identities::new(runtime.handle().clone(), None, Pace::default());
    let seeds: Vec<Vec<u8>> = vec![
        b"eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2lkcC50ZXN0In0.c2lnbmF0dXJl"
            .to_vec(),
        b"eyJhbGciOiJub25lIn0.e30.".to_vec(),
        br#"{"payload":"e30=","signature":"AAAA","keyId":"k"}"#.to_vec(),
        serde_json::to_vec(&Given::cases().carrier(1, 1)).unwrap(),
    ];
    fuzz(ROUNDS, &seeds, |bytes, _| {
        let verified = runtime.block_on(identities.verify(bytes, Time::now()));
        assert!(verified.is_err(), "nobody's token is taken");
        assert!(
            carrier::verify(bytes, &[vec![7; 32]]).is_err(),
            "nobody's carrier is taken"
        );
    });
}
