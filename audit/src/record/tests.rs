use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::Digest;
use crate::canonical;

pub(crate) fn connection() -> ObjectRef {
    ObjectRef {
        name: "bank".into(),
        namespace: "doors".into(),
        uid: "8c1f".into(),
    }
}

pub(crate) fn pod() -> PodRef {
    PodRef {
        name: "door-bank-0".into(),
        uid: "77aa".into(),
    }
}

pub(crate) fn source_of(instance: &Instance) -> Origin {
    Origin {
        connection: Some(connection().into()),
        instance: instance.clone(),
        pod: pod().into(),
        writer: Writer::Proxy,
    }
}

fn person() -> Person {
    Person {
        issuer: "https://idp".into(),
        subject: "4711".into(),
        username: "oidc:alice".into(),
    }
}

pub(crate) fn start() -> SessionStart {
    SessionStart {
        agents: vec![Agent {
            issuer: Some("https://idp".into()),
            subject: "bot".into(),
            username: Some("oidc:bot".into()),
        }],
        claims: Claims {
            application: Some("psql".into()),
            database: Some("bank".into()),
            user: Some("postgres".into()),
        },
        client: "10.0.0.7:53211".into(),
        groups: vec!["oidc:engineers".into()],
        groups_omitted: 1,
        person: person(),
        policy_revision: 12,
        protocol: "postgres".into(),
        target: "pg.bank:5432".into(),
        token: Token {
            auth_time: Some(Time::from_unix_secs(1)),
            expires: Some(Time::from_unix_secs(2)),
            id: Some("jti".into()),
            issued: Some(Time::from_unix_secs(1)),
        },
        token_elsewhere: Some("10.9.9.9".into()),
    }
}

pub(crate) fn command(text: &str) -> Command {
    let rule = || RuleRef {
        generation: 3,
        policy: "p".into(),
        rule: "r".into(),
        uid: "u".into(),
    };
    Command {
        agents: start().agents,
        binding: Some("hmac".into()),
        command: 1,
        digest: Digest::of(text.as_bytes()),
        params: vec![
            Param::null(),
            Param::hidden(9),
            Param::text("naïve", 3),
            Param::binary(&[1, 2, 3], 2),
        ],
        parts: 0,
        person: person().into(),
        request: Some(connection()),
        tables: vec!["public.customers".into()],
        tables_omitted: 2,
        text: text.to_owned(),
        unit: 1,
        verbs: vec!["delete".into()],
        verdict: Verdict {
            action: Action::Hold,
            observed: vec![Observed {
                action: Action::Deny,
                rule: rule(),
            }],
            policy_revision: 12,
            read_only: false,
            reason: Some("needs a second person".into()),
            risk: 60,
            rules: vec![rule()],
        },
    }
}

/// Every kind of event with every field present: what is out of order anywhere shows here.
pub(crate) fn every_event() -> Vec<Event> {
    let approver = || Approver {
        audit_id: Some("0f1e2d3c4b5a69788796a5b4c3d2e1f0".into()),
        reason: Some("ok".into()),
        time: Some(Time::from_unix_secs(5)),
        uid: Some("u".into()),
        username: "oidc:bob".into(),
    };
    let closed = || Closed {
        command: 1,
        reason: "left".into(),
        request: connection(),
    };
    vec![
        Event::SessionStart(Box::new(start())),
        Event::Attested(Box::new(Attested {
            detail: Some("…".into()),
            finding: Finding::Refused,
            person: Some(person()),
        })),
        Event::LoginRefused(Box::new(LoginRefused {
            claims: start().claims,
            client: "10.0.0.7:1".into(),
            detail: "expired".into(),
            person: Some(person()),
            reason: Refusal::BadToken,
        })),
        Event::Command(Box::new(Command {
            parts: 1,
            ..command("delete from customers")
        })),
        Event::CommandPart(CommandPart {
            command: 1,
            params: vec![Param::null()],
            part: 1,
            text: "more".into(),
        }),
        Event::Hold(Hold {
            command: 1,
            expires: Some(Time::from_unix_secs(9)),
            request: connection(),
            waits: true,
        }),
        Event::Approved(Approved {
            approvers: vec![approver()],
            command: 1,
            request: connection(),
            waited_us: 5,
        }),
        Event::Denied(Denied {
            command: 1,
            deniers: vec![approver()],
            request: connection(),
        }),
        Event::Withdrawn(closed()),
        Event::Expired(closed()),
        Event::Claimed(Claimed {
            approvers: vec![approver()],
            command: 1,
            nonce: "n".into(),
            request: connection(),
        }),
        Event::Revoked(closed()),
        Event::BreakGlass(BreakGlass {
            command: 1,
            reason: "the branch is down".into(),
            request: connection(),
            until: Some(Time::from_unix_secs(9)),
        }),
        Event::Reviewed(Reviewed {
            command: 0,
            request: connection(),
            reviewers: vec![approver()],
        }),
        Event::Outcome(Outcome {
            bytes: 1,
            command: 1,
            copy: Some(Copied {
                bytes: 2,
                sha256: Digest::of(b"x"),
            }),
            duration_us: 3,
            fate: Fate::Failed,
            masked: BTreeMap::from([("US_SSN".into(), 4), ("rule:ssn".into(), 5)]),
            rows: 6,
            sqlstate: Some("42501".into()),
            transaction: Some(7),
            unread: true,
            why: None,
        }),
        Event::TransactionEnd(TransactionEnd {
            fate: TransactionFate::RolledBack,
            transaction: 7,
        }),
        Event::SessionEnd(SessionEnd {
            cause: EndCause::DoorVanished,
            commands: 1,
            duration_us: 2,
        }),
        Event::LogStart(LogStart {
            epoch: Some(1),
            origin: "o".into(),
            root: Some(Digest::of(b"")),
            sink: connection(),
            size: 0,
            vkey: "k".into(),
        }),
        Event::Pruned(Pruned {
            before: 256,
            kept_secs: 86_400,
        }),
        Event::LogEnd(LogEnd {
            reason: "SIGTERM".into(),
        }),
        Event::PolicyChange(PolicyChange {
            digest: Digest::of(b"c"),
            from: Some(1),
            hash_keys: BTreeMap::from([("accounts".into(), "0123456789abcdef".into())]),
            to: 2,
            token_keys: BTreeMap::from([("cards".into(), "fedcba9876543210".into())]),
        }),
    ]
}

fn sealed(batch: &Batch) -> Vec<Vec<u8>> {
    let seal = Seal::new(&source_of(&Instance::random().unwrap())).unwrap();
    (1..)
        .zip(batch.drafts())
        .map(|(seq, draft)| seal.seal(draft, seq).unwrap())
        .collect()
}

#[test]
fn every_event_is_written_canonically_and_read_back() {
    let (session, time) = (SessionId::random().unwrap(), Time::now());
    let origin = source_of(&Instance::random().unwrap());
    let seal = Seal::new(&origin).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for event in every_event() {
        let draft = Draft::new(time, Some(&session), &event).unwrap();
        let leaf = seal.seal(&draft, 41).unwrap();
        assert_eq!(canonical::check(&leaf), Ok(()), "{}", String::from_utf8_lossy(&leaf));
        let record = Record {
            event: event.clone(),
            session: Some(session.clone()),
            source: origin.at(41),
            time,
            v: VERSION,
        };
        assert_eq!(Record::parse(&leaf).unwrap(), record);
        assert_eq!(
            serde_json::to_vec(&record).unwrap(),
            leaf,
            "sealing equals plain serialisation"
        );
        let header = Header::parse(&leaf).unwrap();
        assert_eq!((header.kind.as_str(), header.source.seq), (event.kind(), 41));
        assert_eq!(draft.header(&origin, 41), header, "known without reading");
        kinds.insert(event.kind());
    }
    let named: std::collections::BTreeSet<&str> = Event::KINDS.iter().copied().collect();
    assert_eq!(kinds, named, "an example of each kind");
    assert_eq!(named.len(), Event::KINDS.len(), "each has a name of its own");
}

/// One record of each kind, as the first version wrote them: without what was added since.
const WRITTEN: &str = include_str!("../../testdata/records-v1.jsonl");

#[test]
fn what_the_first_version_wrote_is_read_and_means_the_same() {
    let mut kinds = std::collections::BTreeSet::new();
    for line in WRITTEN.lines() {
        assert_eq!(canonical::check(line.as_bytes()), Ok(()), "{line}");
        let record = Record::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(serde_json::to_string(&record).unwrap(), line, "written again");
        kinds.insert(record.event.kind());
    }
    assert_eq!(kinds.len(), 20, "one of each kind that it knew");
    // A name that was given up is still read.
    let renamed = WRITTEN.replace("\"fate\":\"executed\"", "\"fate\":\"skipped\"");
    let line = renamed.lines().find(|line| line.contains("skipped")).unwrap();
    let Event::Outcome(outcome) = Record::parse(line.as_bytes()).unwrap().event else {
        panic!("an outcome")
    };
    assert_eq!(outcome.fate, Fate::NotRun);
}

#[test]
fn a_record_of_the_future_is_refused_by_its_version_whatever_it_looks_like() {
    let of_the_future = WRITTEN.replace("\"v\":1", "\"v\":2");
    for line in of_the_future.lines().chain(["{\"v\":2}"]) {
        let error = Record::parse(line.as_bytes()).unwrap_err();
        assert!(matches!(error, HeaderError::Version(2)), "{error}: {line}");
        assert!(error.to_string().contains("version 2"), "{error}");
    }
    // A recorder stores what a newer door sends: it reads whose it is, and no more.
    assert!(of_the_future.lines().all(|line| Header::parse(line.as_bytes()).is_ok()));
}

#[test]
fn a_header_is_of_one_kind() {
    let leaf =
        sealed(&Batch::of(Time::now(), None, Event::LogEnd(LogEnd { reason: String::new() })).unwrap()).remove(0);
    let text = String::from_utf8(leaf).unwrap();
    assert!(Header::parse(text.as_bytes()).is_ok());
    for bad in [
        text.replace("\"logEnd\"", "\"a\":1,\"b\""),
        text.replace("{\"logEnd\":{\"reason\":\"\"}}", "{}"),
        text.replace("\"v\":1", "\"w\":1"),
    ] {
        assert!(Header::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn params_are_cut_at_characters_and_keep_their_digest() {
    let cut = Param::text("naïve", 3);
    assert_eq!(
        (cut.value.as_str(), cut.bytes, cut.digest),
        ("na", 6, Some(Digest::of("naïve".as_bytes())))
    );
    let whole = Param::text("naïve", 6);
    assert_eq!((whole.value.as_str(), whole.digest), ("naïve", None));
    assert_eq!(Param::binary(&[255, 0], 8).value, "ff00");
    assert_eq!(Param::text(&"x".repeat(100_000), usize::MAX).value.len(), MAX_PARAM);
}

#[test]
fn names_beyond_their_room_are_counted() {
    let mut command = command("x");
    command.tables = (0..5000).map(|n| format!("public.table_{n}")).collect();
    command.tables_omitted = 0;
    let batch = Batch::of(Time::now(), None, Event::Command(Box::new(command))).unwrap();
    let record = Record::parse(&sealed(&batch)[0]).unwrap();
    let Event::Command(written) = record.event else {
        panic!("a command")
    };
    assert!(!written.tables.is_empty());
    assert_eq!(written.tables.len() + written.tables_omitted as usize, 5000);
}

/// What an auditor does with a command and its parts.
fn assemble(leaves: &[Vec<u8>]) -> (String, Vec<Param>, u32) {
    let (mut text, mut params, mut declared, mut seen) = (String::new(), Vec::new(), 0, 0);
    for leaf in leaves {
        assert!(leaf.len() <= MAX_ENTRY);
        assert_eq!(canonical::check(leaf), Ok(()));
        match Record::parse(leaf).unwrap().event {
            Event::Command(command) => {
                declared = command.parts;
                text.push_str(&command.text);
                params.extend(command.params);
            }
            Event::CommandPart(part) => {
                seen += 1;
                assert_eq!(part.part, seen);
                text.push_str(&part.text);
                params.extend(part.params);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(declared, seen);
    (text, params, seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn long_commands_are_split_without_loss(unit in "[a-zä\\n\"\u{1}\u{10348}]{1,40}", times in 1_usize..20_000, count in 0_usize..300) {
        let text = unit.repeat(times);
        let mut command = command(&text);
        command.params = (0..count).map(|n| Param::text(&unit.repeat(n), 2000)).collect();
        let (digest, params) = (command.digest, command.params.clone());
        let batch = Batch::of(Time::now(), None, Event::Command(Box::new(command))).unwrap();
        let (read, read_params, _) = assemble(&sealed(&batch));
        prop_assert_eq!(Digest::of(read.as_bytes()), digest);
        prop_assert_eq!(read_params, params);
    }
}
