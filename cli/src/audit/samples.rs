//! Records for the tests of this room.

use sallyport_audit::record::{
    Action, Approved, Approver, Claims, Command, EndCause, Event, Fate, Instance, LoginRefused, ObjectRef, Outcome,
    Person, PodRef, Record, Refusal, RuleRef, SessionEnd, SessionId, SessionStart, Source, Token, VERSION, Verdict,
    Writer,
};
use sallyport_audit::{Digest, Time};

pub fn person(name: &str) -> Person {
    Person {
        issuer: "https://idp.bank.example".into(),
        subject: format!("sub-{name}"),
        username: format!("oidc:{name}"),
    }
}

fn object(name: &str) -> ObjectRef {
    ObjectRef {
        name: name.into(),
        namespace: "doors".into(),
        uid: format!("{name}-uid"),
    }
}

/// A record of one session.
pub fn record(seq: u64, session: &SessionId, event: Event) -> Record {
    Record {
        event,
        session: Some(session.clone()),
        source: Source {
            connection: Some(object("bank").into()),
            instance: Instance::parse("0123456789abcdef0123456789abcdef").unwrap(),
            pod: PodRef {
                name: "door".into(),
                uid: "1".into(),
            }
            .into(),
            seq,
            writer: Writer::Proxy,
        },
        time: Time::from_unix_micros(1_764_000_000_000_000 + i64::try_from(seq).unwrap() * 1_500_000),
        v: VERSION,
    }
}

pub fn start(name: &str) -> Event {
    Event::SessionStart(Box::new(SessionStart {
        agents: Vec::new(),
        claims: Claims {
            database: Some("bank".into()),
            ..Claims::default()
        },
        client: "10.0.0.7:51234".into(),
        groups: vec!["oidc:engineers".into()],
        groups_omitted: 0,
        person: person(name),
        policy_revision: 4,
        protocol: "postgres".into(),
        target: "pg.bank.svc:5432".into(),
        token: Token::default(),
        token_elsewhere: None,
    }))
}

pub fn command(number: u64, name: &str, verb: &str, action: Action, text: &str) -> Event {
    let reason = (action != Action::Allow).then(|| "deletes need a second person".to_owned());
    Event::Command(Box::new(Command {
        agents: Vec::new(),
        binding: None,
        command: number,
        digest: Digest::of(text.as_bytes()),
        params: Vec::new(),
        parts: 0,
        person: person(name).into(),
        request: None,
        tables: vec!["public.customers".into()],
        tables_omitted: 0,
        text: text.into(),
        unit: number,
        verbs: vec![verb.into()],
        verdict: Verdict {
            action,
            observed: Vec::new(),
            policy_revision: 4,
            read_only: false,
            reason,
            risk: 30,
            rules: vec![RuleRef {
                generation: 2,
                policy: "changes".into(),
                rule: "deletes".into(),
                uid: "p-uid".into(),
            }],
        },
    }))
}

pub fn outcome(number: u64, fate: Fate) -> Event {
    Event::Outcome(Outcome {
        bytes: 120,
        command: number,
        copy: None,
        duration_us: 5300,
        fate,
        masked: [("ssn/US_SSN".to_owned(), 7)].into(),
        rows: 3,
        sqlstate: None,
        transaction: None,
        unread: false,
        why: None,
    })
}

pub fn approved(number: u64) -> Event {
    Event::Approved(Approved {
        approvers: vec![Approver {
            audit_id: None,
            reason: Some("ticket <4711>".into()),
            time: None,
            uid: None,
            username: "oidc:bob".into(),
        }],
        command: number,
        request: object("request-1"),
        waited_us: 4_200_000,
    })
}

pub fn refused() -> Event {
    Event::LoginRefused(Box::new(LoginRefused {
        claims: Claims {
            user: Some("<b>mallory</b>".into()),
            ..Claims::default()
        },
        client: "10.0.0.9:4".into(),
        detail: "not among the subjects".into(),
        person: Some(person("mallory")),
        reason: Refusal::NotAdmitted,
    }))
}

pub fn end() -> Event {
    Event::SessionEnd(SessionEnd {
        cause: EndCause::ClientClosed,
        commands: 2,
        duration_us: 9_000_000,
    })
}

/// A short history: one session with a read, a held and approved delete and a refusal; and somebody who was turned away.
pub fn history() -> Vec<Record> {
    let alice = SessionId::parse("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    let other = SessionId::parse("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb").unwrap();
    let hostile = "select '</script><img src=x onerror=alert(1)>\u{202e}'";
    let events = vec![
        (&alice, start("alice")),
        (&alice, command(1, "alice", "select", Action::Allow, hostile)),
        (&alice, outcome(1, Fate::Executed)),
        (
            &alice,
            command(2, "alice", "delete", Action::Hold, "delete from accounts where id = 1"),
        ),
        (&alice, approved(2)),
        (&alice, outcome(2, Fate::Executed)),
        (
            &alice,
            command(3, "alice", "drop", Action::Deny, "drop table customers"),
        ),
        (&alice, end()),
        (&other, refused()),
    ];
    (1..)
        .zip(events)
        .map(|(seq, (session, event))| record(seq, session, event))
        .collect()
}
