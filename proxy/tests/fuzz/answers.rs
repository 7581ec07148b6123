//! Target → client: whole streams of messages, however they arrive and whatever they say.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use sallyport_audit::record::SessionId;
use sallyport_policy::sql;
use sallyport_proxy::command::Ledger;
use sallyport_proxy::postgres::after::After;
use sallyport_proxy::postgres::ask::Answer;
use sallyport_proxy::postgres::errors::{Said, sqlstate};
use sallyport_proxy::postgres::expect::{Expect, Part, Query};
use sallyport_proxy::postgres::frame::{self, HEADER, put};
use sallyport_proxy::postgres::meant::Meant;
use sallyport_proxy::postgres::names::{Change, Moment, Portal, Prepared, Stated};
use sallyport_proxy::postgres::relay::{self, LARGE, Passed, State};
use sallyport_proxy::postgres::rows::View;
use sallyport_proxy::postgres::script;
use sallyport_recorder::attest::People as Recorder;

use super::common::door::Given;
use super::common::recorder::evidence;
use super::common::runtime;
use super::statements::Knowledge;
use super::{ROUNDS, corpus, fuzz};

/// What stands for a protected value.
const CANARY: &[u8] = b"canary";
/// Messages that a client may get.
const TAGS: &[u8] = b"123ACDEGHINSTVZcdnst";
/// Backend of the session.
const PID: i32 = 7;
/// A query of which one column is protected.
const ROWS: &str = "select id, ssn from customers";

/// Whether a protected value stands in what somebody is sent.
pub fn shows_canary(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY)
}

/// A door's knowledge of one database, and a log.
struct Stage {
    knowledge: Knowledge,
    ledger: Ledger,
    _runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

/// What a client was sent, and whether the session broke.
type Relayed = (Vec<u8>, bool);

impl Stage {
    fn new() -> Self {
        sallyport_runtime::crypto::install();
        let runtime = runtime();
        let directory = tempfile::tempdir().unwrap();
        let (_, evidence) = evidence(directory.path(), &runtime, Recorder::SameProcess);
        Self {
            knowledge: Knowledge::under(&Given::cases()),
            ledger: Ledger::new(evidence, SessionId::random().unwrap()),
            _runtime: runtime,
            _directory: directory,
        }
    }

    /// The statements of a text.
    fn stated(text: &str) -> Vec<Stated> {
        let read = script::read(text).unwrap();
        let count = read.script.statements.len();
        let one = |index| Stated {
            text: Arc::clone(&read.text),
            script: Arc::clone(&read.script),
            index,
        };
        (0..count).map(one).collect()
    }

    fn view(&self, stated: &Stated, lost: bool) -> Rc<View> {
        let (masker, known) = (Arc::clone(&self.knowledge.masker), Arc::clone(&self.knowledge.known));
        if lost {
            return Rc::new(View::nameless(masker, known));
        }
        let lineages = stated
            .readings()
            .map(|statement| sql::lineage(statement, &*self.knowledge.known.snapshot, &self.knowledge.path));
        Rc::new(View::of(masker, known, lineages.collect()))
    }

    fn query(&self, text: &str, lost: bool) -> Query {
        let part = |stated: Stated| Part {
            running: None,
            view: self.view(&stated, lost),
            stated,
            after: After::default(),
            change: None,
            own: false,
            precondition: false,
        };
        Query::new(Self::stated(text).into_iter().map(part).collect::<Vec<_>>())
    }

    fn portal(&self, text: &str, formats: Vec<i16>, lost: bool) -> Rc<Portal> {
        let stated = Self::stated(text).remove(0);
        let view = self.view(&stated, lost);
        Rc::new(Portal {
            formats,
            stated: Some(stated),
            ..Portal::new(view, Moment { revision: 1, at: 0 })
        })
    }

    /// Parse and Bind, perhaps Describe, Execute and Sync.
    fn pipeline(&self, text: &str, formats: Vec<i16>, described: bool, lost: bool) -> Vec<Expect> {
        let portal = self.portal(text, formats, lost);
        let mut owed = vec![
            prepared(text),
            Expect::Bind(Change::Bind(String::new(), Rc::clone(&portal))),
        ];
        if described {
            owed.push(Expect::DescribePortal {
                portal: Rc::clone(&portal),
                own: false,
            });
        }
        let after = After::default();
        owed.extend([
            Expect::Execute {
                portal,
                after,
                change: None,
            },
            Expect::Sync,
        ]);
        owed
    }

    /// What the target owes, by the first byte of an input. `lost`: nobody knows what names mean any more.
    fn owed(&self, kind: u8, lost: bool) -> Vec<Expect> {
        match kind {
            b'x' => self.pipeline(ROWS, Vec::new(), true, lost),
            b'b' => self.pipeline(ROWS, vec![1], true, lost),
            b's' => {
                let view = self.view(&Self::stated(ROWS)[0], lost);
                let parameters = false;
                vec![
                    prepared(ROWS),
                    Expect::DescribeStatement { view, parameters },
                    Expect::Sync,
                ]
            }
            b'c' => vec![Expect::Query(self.query("copy customers (id, ssn) to stdout", lost))],
            b'v' => {
                let text = "copy customers (id, ssn) to stdout (format csv)";
                vec![Expect::Query(self.query(text, lost))]
            }
            b'y' => {
                let text = "copy customers (id, ssn) to stdout (format binary)";
                self.pipeline(text, Vec::new(), false, lost)
            }
            b'f' => self.pipeline("select pg_catalog.loread(1, 2)", vec![1], true, lost),
            b'i' => vec![Expect::Query(self.query("copy customers (id, name) from stdin", lost))],
            b'o' => vec![
                Expect::Own(Answer::default()),
                Expect::Query(self.query("select 1", lost)),
            ],
            b'a' => vec![Expect::GoesOn, Expect::Query(self.query("select 1", lost))],
            b'r' => {
                let said = Said::error(sqlstate::DENIED, "a rule says no");
                vec![Expect::Refusal {
                    said: Box::new(said),
                    code: sqlstate::SYNTAX,
                    query: true,
                    met: false,
                }]
            }
            b'l' => vec![Expect::Query(self.query("select ssn, b'1' from customers", lost))],
            b'p' => {
                let mut query = self.query(&format!("select 1; {ROWS}"), lost);
                if let Some(first) = query.parts.front_mut() {
                    (first.own, first.precondition) = (true, true);
                }
                vec![Expect::Query(query)]
            }
            _ => vec![Expect::Query(self.query(&format!("{ROWS}; select 1"), lost))],
        }
    }

    /// Relays a stream that arrives in pieces: `piece` says how many of so many bytes come next. A capital names the same as
    /// its small letter, with names that may mean anything.
    fn relayed(&self, kind: u8, stream: &[u8], piece: &mut dyn FnMut(usize) -> usize) -> Relayed {
        let mut state = State::new(Arc::clone(&self.knowledge.masker), self.ledger.clone());
        state.known = Arc::clone(&self.knowledge.known);
        state.pid = PID;
        state.calling = kind.eq_ignore_ascii_case(&b'f');
        let lost = kind.is_ascii_uppercase();
        if lost {
            state.senders.note(PID);
        }
        for expect in self.owed(kind.to_ascii_lowercase(), lost) {
            state.expected.push(expect);
        }
        let (mut arrived, mut rest, mut out) = (Vec::new(), stream, Vec::new());
        let mut read_again = 0;
        loop {
            match relay::pass(&mut state, &arrived, &mut out) {
                Err(_) => return (out, true),
                Ok(Passed::Done(n)) => {
                    assert!(
                        n > 0 && n <= arrived.len(),
                        "it goes on, over nothing that has not come"
                    );
                    arrived.drain(..n);
                }
                Ok(Passed::Fresh(_)) => {
                    read_again += 1;
                    assert!(read_again < 10_000, "a message is never taken");
                    state.strangers = true;
                    state.fresh = Instant::now();
                }
                Ok(Passed::Dry) if rest.is_empty() => return (out, false),
                Ok(Passed::Dry) => {
                    let (now, later) = rest.split_at(piece(rest.len()));
                    arrived.extend_from_slice(now);
                    rest = later;
                }
            }
        }
    }
}

fn prepared(text: &str) -> Expect {
    let prepared = Prepared {
        stated: Some(Stage::stated(text).remove(0)),
        by_sql: false,
        types: Vec::new(),
        meant: Meant::default(),
    };
    Expect::Parse(Change::Prepare(String::new(), Rc::new(prepared)), None, None)
}

/// The messages of an answer, and what there is of one that a break cut off. Pieces of a COPY that follow each other are one: where
/// those end means nothing.
fn messages(out: &[u8]) -> (Vec<(u8, Vec<u8>)>, &[u8]) {
    let (mut rest, mut found) = (out, Vec::<(u8, Vec<u8>)>::new());
    while !rest.is_empty() {
        let head = frame::head(rest, |_| Some(usize::MAX)).unwrap().expect("a whole head");
        let Some((message, later)) = rest.split_at_checked(head.len) else {
            break;
        };
        rest = later;
        let body = &message[HEADER..];
        match found.last_mut() {
            Some((b'd', content)) if head.tag == b'd' => content.extend_from_slice(body),
            _ => found.push((head.tag, body.to_vec())),
        }
    }
    (found, rest)
}

/// An input is what is owed, by a letter, and a stream.
#[test]
fn streams_of_a_target() {
    let stage = Stage::new();
    fuzz("answers", ROUNDS / 4, &corpus::of("answers"), |bytes, dice| {
        let Some((kind, stream)) = bytes.split_first() else {
            return;
        };
        let shows =
            |tag, bytes: &[u8]| kind.is_ascii_uppercase() && matches!(tag, b'D' | b'V' | b'd') && shows_canary(bytes);
        let heard = |piece: &mut dyn FnMut(usize) -> usize| {
            let (out, broken) = stage.relayed(*kind, stream, piece);
            let (whole, begun) = messages(&out);
            let tag = begun.first().copied().unwrap_or_default();
            // What is too large to be held is passed on as it comes, and this stream may end within it.
            let unfinished = frame::head(begun, |_| Some(usize::MAX))
                .is_ok_and(|head| head.is_some_and(|head| head.len > stream.len()));
            assert!(broken || begun.is_empty() || unfinished, "half a message");
            assert!(!shows(tag, begun), "nor does it begin to");
            (whole, broken)
        };
        let whole = heard(&mut |left| left);
        let single = heard(&mut |_| 1);
        let random = heard(&mut |left| 1 + dice.below(left));
        assert!(whole == single && whole == random, "how bytes arrive means nothing");
        for (tag, body) in whole.0 {
            assert!(TAGS.contains(&tag), "{:?} is not for clients", char::from(tag));
            assert!(
                tag != b'V' || kind.eq_ignore_ascii_case(&b'f'),
                "nobody called a function"
            );
            assert!(!shows(tag, &body), "where anything may be protected no value passes");
        }
    });
}

#[test]
fn streams_as_they_are_written_show_nothing_and_lies_end_them() {
    let stage = Stage::new();
    for (name, bytes) in corpus::files("answers") {
        let (kind, stream) = bytes.split_first().unwrap();
        let quiet = name.starts_with("quiet-");
        assert!(quiet || shows_canary(stream), "{name} could show nothing");
        let (out, broken) = stage.relayed(*kind, stream, &mut |left| left);
        assert!(!shows_canary(&out), "{name}: {}", out.escape_ascii());
        assert_eq!(broken, name.starts_with("lie-"), "{name}: {}", out.escape_ascii());
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, tag, |out| out.extend_from_slice(body));
    out
}

#[test]
fn what_is_said_aside_of_the_doors_own_question_reaches_the_client() {
    let stage = Stage::new();
    let files = corpus::files("answers");
    let (_, question) = files.iter().find(|(name, _)| name == "own-question").unwrap();
    let (answers, _) = messages(&question[1..]);
    for at in 0..answers.iter().position(|(tag, _)| *tag == b'Z').unwrap() {
        let asides: [(u8, &[u8]); 3] = [
            (b'N', b"SNOTICE\0C00000\0Msaid\0\0"),
            (b'S', b"application_name\0x\0"),
            (b'A', b"\0\0\0\x09news\0hello\0"),
        ];
        let mut stream = answers.clone();
        stream.splice(at..at, asides.map(|(tag, body)| (tag, body.to_vec())));
        let stream: Vec<u8> = stream.iter().flat_map(|(tag, body)| message(*tag, body)).collect();
        let (out, broken) = stage.relayed(b'o', &stream, &mut |_| 1);
        let tags: Vec<u8> = messages(&out).0.iter().map(|(tag, _)| *tag).collect();
        assert!(!broken && tags == b"NSATDCZ", "{at}: {}", out.escape_ascii());
    }
}

/// A row of a protected text and a large value that nothing looks at; `length` is what the large one says of itself.
fn large_row(size: usize, length: i32) -> Vec<u8> {
    let bits = vec![b'1'; size];
    let body = [&b"\0\x02\0\0\0\x06canary"[..], &length.to_be_bytes(), bits.as_slice()];
    message(b'D', &body.concat())
}

/// ssn, and bits of an expression.
fn large_description() -> Vec<u8> {
    let body = [
        &b"\0\x02ssn\0\0\0\x4e\x20\0\x03\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"[..],
        b"bits\0\0\0\0\0\0\0\0\0\x06\x1a\xff\xff\xff\xff\xff\xff\0\0",
    ];
    message(b'T', &body.concat())
}

#[test]
fn what_is_too_large_to_be_held_does_not_depend_on_how_it_arrives() {
    let stage = Stage::new();
    let size = LARGE + 1_000;
    let length = i32::try_from(size).unwrap();
    let end = [message(b'C', b"SELECT 2\0"), message(b'Z', b"I")].concat();
    let rows = |last: Vec<u8>| [large_description(), large_row(size, length), last, end.clone()].concat();
    let copied = b"1\tcanary\n".repeat(size / 9);
    let copy = [
        message(b'H', &[0, 0, 2, 0, 0, 0, 0]),
        message(b'd', &copied),
        message(b'd', b"2\tcan"),
        message(b'd', &[b"ary\n".to_vec(), copied.clone()].concat()),
        message(b'c', b""),
        end.clone(),
    ]
    .concat();
    let mut over = copied.clone();
    over.extend_from_slice(b"1\tcanary\tcanary\n");
    let lie = [message(b'H', &[0, 0, 2, 0, 0, 0, 0]), message(b'd', &over)].concat();
    let cases = [
        ("rows", b'l', rows(large_row(size, length)), false),
        ("a value that says more", b'l', rows(large_row(size, length + 1)), true),
        ("a value that says less", b'l', rows(large_row(size, length - 1)), true),
        (
            "a value that says less than nothing",
            b'l',
            rows(large_row(size, -2)),
            true,
        ),
        ("a COPY", b'c', copy, false),
        ("a COPY with a column too many", b'c', lie, true),
    ];
    fuzz("large answers", 20, &[Vec::new()], |_, dice| {
        for (what, kind, stream, lies) in &cases {
            let (out, broken) = stage.relayed(*kind, stream, &mut |left| left);
            let most = 1 + dice.below(LARGE);
            let piece = &mut |left: usize| (1 + dice.below(most)).min(left);
            let (pieces, broken_in_pieces) = stage.relayed(*kind, stream, piece);
            assert_eq!((broken, broken_in_pieces), (*lies, *lies), "{what}");
            assert!(!shows_canary(&out) && !shows_canary(&pieces), "{what}");
            // Of what breaks in the middle a part may have gone.
            assert!(*lies || messages(&out) == messages(&pieces), "{what}");
        }
    });
}
