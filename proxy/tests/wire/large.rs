//! Values larger than anybody holds in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sallyport_audit::record::{EndCause, Event};
use serde_json::json;

use super::SCHEMA;
use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, Message, tags};
use sallyport_proxy::postgres::frame::put_cstr;

/// Resident bytes of this process, door and client both.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// The process held little more at its most than before, of which other tests have a part.
fn flat(before: usize, most: usize) {
    let grown = most.saturating_sub(before);
    assert!(grown < BIG / 3, "{grown} bytes more than before");
}

const BIG: usize = 150_000_000;

/// One at a time: memory is measured of the whole process, and so is what others take much of.
static ALONE: Mutex<()> = Mutex::new(());

pub(super) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A door that masks one column of a row, and a client whose session has settled.
fn stage() -> (TestDoor, Client) {
    let columns = json!({"match": {"columns": ["public.secrets.ssn"]}});
    let door = TestDoor::new(&Given::open().mask("columns", columns), SCHEMA);
    door.direct("insert into secrets values (1, '536-90-4399', 'p')");
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.query("select 1");
    (door, client)
}

#[test]
fn a_field_of_any_size_passes_through_in_flat_memory() {
    let _alone = alone();
    let (_door, mut client) = stage();
    let before = resident();
    let mut most = 0;
    // As it is, behind a masked column, and by the extended protocol without a Describe.
    for sql in [
        format!("select repeat('x', {BIG}), 'end'"),
        format!("select id, ssn, repeat('x', {BIG}) from secrets"),
    ] {
        client.put(b'Q', |out| put_cstr(out, &sql)).send();
        let described = client.read();
        assert_eq!(described.tag, 'T', "{}", described.text());
        // While it comes: who held all of it has let it go by its end.
        let (tag, len) = client.pour(|_| most = most.max(resident())).unwrap();
        assert!(tag == 'D' && len > BIG, "{tag} {len}");
        assert_eq!(tags(&client.ready()), "CZ");
    }
    client
        .parse("", &format!("select ssn, repeat('x', {BIG})::bytea from secrets"))
        .bind("", "", &[], 1)
        .execute("", 0)
        .sync();
    assert_eq!(tags(&client.some(2)), "12");
    let (_, len) = client.pour(|_| most = most.max(resident())).unwrap();
    assert!(len > BIG && most > 0);
    assert_eq!(tags(&client.ready()), "CZ");
    flat(before, most);
}

/// About the longest field that there is: PostgreSQL makes no text, and no row, of more than a gibibyte.
const GIGABYTE: usize = 1_000_000_000;

/// So many digits in their order, and whatever stands before and behind them.
struct Digits {
    row: Vec<u8>,
    before: usize,
    came: usize,
    others: Vec<u8>,
    most: usize,
}

impl Digits {
    fn behind(before: usize) -> Self {
        Self {
            row: b"0123456789".repeat(8_000),
            before,
            came: 0,
            others: Vec::new(),
            most: 0,
        }
    }

    fn take(&mut self, piece: &[u8]) {
        let early = if self.came == 0 {
            self.before - self.others.len()
        } else {
            0
        };
        let (before, rest) = piece.split_at(early.min(piece.len()));
        let (own, behind) = rest.split_at(rest.len().min(GIGABYTE - self.came));
        let from = self.came % 10;
        assert!(own == &self.row[from..from + own.len()], "from {} on", self.came);
        self.came += own.len();
        self.others.extend_from_slice(before);
        self.others.extend_from_slice(behind);
        self.most = self.most.max(resident());
    }
}

#[test]
#[ignore = "takes minutes, and the server three gigabytes: SALLYPORT_NIGHTLY=1 make test"]
fn a_field_of_a_gigabyte_comes_as_it_is_in_flat_memory() {
    let _alone = alone();
    let (_door, mut client) = stage();
    let before = resident();
    let (long, length) = (
        format!("repeat('0123456789', {})", GIGABYTE / 10),
        u32::try_from(GIGABYTE).unwrap().to_be_bytes(),
    );
    let masked = [&b"\0\x02\0\0\0\x0a[REDACTED]"[..], &length].concat();
    let mut most = 0;
    for (columns, others) in [
        (long.clone(), [&b"\0\x01"[..], &length].concat()),
        (format!("ssn, {long}"), masked.clone()),
        // What has to be looked at arrives in pieces.
        (format!("ssn || repeat('x', 300000), {long}"), masked),
    ] {
        client
            .put(b'Q', |out| put_cstr(out, &format!("select {columns} from secrets")))
            .send();
        assert_eq!(client.read().tag, 'T');
        let mut digits = Digits::behind(others.len());
        let (tag, len) = client.pour(|piece| digits.take(piece)).unwrap();
        assert_eq!((tag, len, digits.came), ('D', others.len() + GIGABYTE, GIGABYTE));
        assert_eq!(digits.others, others);
        most = most.max(digits.most);
        assert_eq!(tags(&client.ready()), "CZ");
    }
    client
        .put(b'Q', |out| put_cstr(out, &format!("copy (select {long}) to stdout")))
        .send();
    assert_eq!(client.read().tag, 'H');
    let mut digits = Digits::behind(0);
    while client.pour(|piece| digits.take(piece)).unwrap().0 == 'd' {}
    assert_eq!((digits.came, digits.others.as_slice()), (GIGABYTE, &b"\n"[..]));
    most = most.max(digits.most);
    assert_eq!(tags(&client.ready()), "CZ");
    flat(before, most);
}

#[test]
fn what_has_to_be_looked_at_is_held_up_to_a_bound_and_refused_in_words_beyond() {
    let _alone = alone();
    let detectors = json!({"match": {"detectors": ["US_SSN"]}});
    let door = TestDoor::new(&Given::open().mask("detectors", detectors), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let got = client.query("select repeat('x', 1000000) || ' 536-90-4399'");
    assert_eq!(tags(&got), "TDCZ");
    assert!(!got[1].text().contains("536-90-4399"));
    client
        .put(b'Q', |out| put_cstr(out, "select repeat('x', 70000000)"))
        .send();
    let got = client.end();
    assert_eq!(tags(&got), "TE");
    let words = got[1].field('M').unwrap();
    assert!(words.contains("more than 64 MiB"), "{words}");
    // Rows of a COPY are looked at as they come, and what is too long of a field is hidden.
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let data = |got: &[Message]| -> usize {
        let data = got.iter().filter(|message| message.tag == 'd');
        data.map(|message| message.body.len()).sum()
    };
    client
        .put(b'Q', |out| {
            put_cstr(out, "copy (select repeat('x', 70000000), 7) to stdout")
        })
        .send();
    let got = client.ready();
    assert_eq!(tags(&got).replace('d', ""), "HcNCZ");
    assert!(data(&got) < 1_000, "{}", data(&got));
    let said = got.iter().find(|message| message.tag == 'N').unwrap();
    assert!(
        said.field('M').unwrap().contains("longer than 64 MiB"),
        "{}",
        said.text()
    );
    // What a row may hold, a field of a COPY may hold.
    let got = client.query("copy (select repeat('x', 1400000)) to stdout");
    assert_eq!(tags(&got).replace('d', ""), "HcCZ");
    assert_eq!(data(&got), 1_400_001);
}

#[test]
fn a_message_that_is_too_long_is_refused_in_words_that_reach_whoever_sends_all_of_it() {
    let _alone = alone();
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let words = "longer than this door takes (64 MiB)";
    // psql reads while it sends, and gives up where it finds the end of the stream in the middle of its message.
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script.path(), format!("select length('{}');\n", "x".repeat(70_000_000))).unwrap();
    let printed = door.psql("alice", &[&format!("\\i {}", script.path().display())]);
    assert!(
        printed.err.contains("FATAL:  54000") && printed.err.contains(words),
        "{printed:?}"
    );

    // A Bind behind its Parse: the words come at once, the end behind its last byte, and at once then. A machine that has something
    // else to do may need another try.
    let piece = vec![b'x'; 10_000_000];
    let ended = || {
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        let length = u32::try_from(4 + 7 * piece.len()).unwrap();
        client.parse("", "select length($1)").send();
        client.raw(&[&b"B"[..], &length.to_be_bytes()].concat());
        (0..3).for_each(|_| client.raw(&piece));
        let told = client.read();
        assert_eq!(
            (told.field('C').as_deref(), told.field('M').unwrap().contains(words)),
            (Some("54000"), true)
        );
        (3..7).for_each(|_| client.raw(&piece));
        let began = Instant::now();
        assert_eq!(tags(&client.end()), "");
        began.elapsed()
    };
    let late: Vec<Duration> = std::iter::repeat_with(ended)
        .take(5)
        .take_while(|took| *took >= Duration::from_secs(4))
        .collect();
    assert!(late.len() < 5, "{late:?}");
    door.recorded_times(
        "all that were ended",
        late.len() + 2,
        |event| matches!(event, Event::SessionEnd(end) if end.cause == EndCause::ProtocolViolation),
    );
}

#[test]
fn copy_data_of_any_size_goes_in_and_comes_out() {
    let _alone = alone();
    let door = TestDoor::new(&Given::open(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    client.put(b'Q', |out| put_cstr(out, "copy u from stdin")).send();
    assert_eq!(client.read().tag, 'G');
    // One CopyData of 100 MB, longer than any message that the door holds.
    let row = [b"1\t".as_slice(), &[b'x'; 99_998], b"\n"].concat();
    let length = u32::try_from(4 + row.len() * 1_000).unwrap();
    client.raw(&[&[b'd'][..], &length.to_be_bytes()].concat());
    (0..1_000).for_each(|_| client.raw(&row));
    client.put(b'c', |_| {}).send();
    assert_eq!(tags(&client.ready()), "CZ");
    assert_eq!(
        door.direct("select count(*), sum(length(name)) from u"),
        "1000|99998000"
    );

    // The target ends it while most of a CopyData is still to come: what is left of it is nobody's.
    client.put(b'Q', |out| put_cstr(out, "copy u from stdin")).send();
    client.raw(&[&[b'd'][..], &length.to_be_bytes(), b"x\ty\n"].concat());
    client.raw(&row);
    for _ in 0..998 {
        client.raw(&row);
    }
    client.raw(&vec![b'z'; row.len() - 4]);
    client.put(b'c', |_| {}).send();
    let got = client.ready();
    assert_eq!(
        (tags(&got).as_str(), got[1].field('C').as_deref()),
        ("GEZ", Some("22P02"))
    );

    client
        .put(b'Q', |out| {
            put_cstr(out, "copy (select repeat('y', 90000000)) to stdout")
        })
        .send();
    assert_eq!(client.read().tag, 'H');
    let mut sent = 0;
    loop {
        match client.skim().unwrap() {
            ('d', len) => sent += len,
            (tag, _) => break assert_eq!(tag, 'c'),
        }
    }
    assert_eq!(sent, 90_000_001);
    assert_eq!(tags(&client.ready()), "CZ");
}

#[test]
fn rows_that_one_person_does_not_read_leave_room_for_others() {
    let _alone = alone();
    let (door, first) = stage();
    // One column has to be looked at, and stands last: the row is held whole.
    let wide = "select repeat('x', 60000000), ssn from secrets";
    let enters = |user: &str| Client::login(&door, user, &[]).unwrap();
    let mut unread = vec![first, enters("alice"), enters("alice")];
    for client in &mut unread {
        client.put(b'Q', |out| put_cstr(out, wide)).send();
    }
    let mut other = enters("bob");
    assert_eq!(tags(&other.query(wide)), "TDCZ", "others have room");
    // Whoever of them came last has waited long enough.
    door.recorded_times(
        "one that found no room",
        1,
        |event| matches!(event, Event::SessionEnd(end) if end.cause == EndCause::ProtocolViolation),
    );
    let told = unread.iter_mut().filter_map(|client| client.some(2).pop());
    let refused = told.filter(|message| message.field('C').as_deref() == Some("53200"));
    assert_eq!(refused.count(), 1);
    assert_eq!(tags(&other.query("select 1")), "TDCZ");
}
