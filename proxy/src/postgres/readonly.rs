//! Commands that a rule runs read-only: PostgreSQL itself then refuses whatever they write, hidden or not.
//!
//! A run of such commands is put into a read-only piece of transaction. Outside an open transaction that is the implicit
//! one that PostgreSQL gives a Query string or a pipeline: it is made read-only and ends by itself. Inside an open one it
//! is a savepoint, released after the run, which gives the transaction its right to write back. Nothing is put in front of
//! statements that run no code of a user, such as BEGIN and SET TRANSACTION.
//!
//! What could outlive it is denied before: see [`Asked::unguarded`].
//!
//! [`Asked::unguarded`]: crate::command::Asked::unguarded
//!
//! `nextval` and `FOR UPDATE` are refused in it by PostgreSQL, `pg_notify` is not, nor what code does elsewhere (dblink).

use sallyport_policy::sql::{Effect, Transaction as Control, Verb};

use super::expect::Expect;
use super::frame;
use super::names::Stated;
use super::relay::State;

/// Makes the transaction that is under way read-only; PostgreSQL takes it back at its end.
const IMPLICIT: &str = "SET transaction_read_only = on";
const SAVEPOINT: &str = "SAVEPOINT sallyport_read_only";
/// A savepoint's end gives the setting back.
const LOCAL: &str = "SET LOCAL transaction_read_only = on";
const RELEASE: &str = "RELEASE SAVEPOINT sallyport_read_only";

/// What runs no code of a user, and so needs no guard; some of it can stand in front of everything only.
const HARMLESS: [Verb; 13] = [
    Verb::Begin,
    Verb::Commit,
    Verb::Rollback,
    Verb::Savepoint,
    Verb::PrepareTransaction,
    Verb::Set,
    Verb::Reset,
    Verb::Show,
    Verb::Discard,
    Verb::Deallocate,
    Verb::Close,
    Verb::Listen,
    Verb::Unlisten,
];

/// Follows a unit's commands and says what has to stand between them.
#[derive(Debug)]
pub struct Guard {
    /// Whether a transaction is open that somebody opened in so many words.
    explicit: bool,
    run: Option<Run>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// Until the implicit transaction ends, or something comes in between that may have lifted it.
    Implicit,
    /// Until the savepoint is released.
    Savepoint,
}

/// A Query string with the door's own statements in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Spliced {
    /// The text.
    pub text: String,
    /// For each statement of the text, in order, whether it is the client's.
    pub clients: Vec<bool>,
    /// Characters of the text before each insertion, and how many were inserted there.
    pub shifts: Vec<(usize, usize)>,
}

/// The text has two readings and several statements: where one ends is not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// Whether a statement may run code of a user, and so has to be guarded where a rule says so.
#[must_use]
pub fn runs_code(stated: &Stated) -> bool {
    stated.readings().any(|statement| !statement.verbs.within(&HARMLESS))
}

// === impl Guard ===

impl Guard {
    /// At the beginning of a unit.
    #[must_use]
    pub fn new(explicit: bool) -> Self {
        Self { explicit, run: None }
    }

    /// What stands before the next command, which is guarded or not.
    fn before(&mut self, guarded: bool) -> &'static [&'static str] {
        match (guarded, self.run) {
            (true, None) if self.explicit => {
                self.run = Some(Run::Savepoint);
                &[SAVEPOINT, LOCAL]
            }
            (true, None) => {
                self.run = Some(Run::Implicit);
                &[IMPLICIT]
            }
            (false, Some(Run::Savepoint)) => self.end(),
            // `BEGIN READ WRITE` and SET TRANSACTION give the right to write back as long as nothing took a snapshot, and LOCK and
            // FETCH take none: what follows is made read-only anew.
            (false, Some(Run::Implicit)) => {
                self.run = None;
                &[]
            }
            _ => &[],
        }
    }

    /// What stands at the end of the unit.
    fn end(&mut self) -> &'static [&'static str] {
        match self.run.take() {
            Some(Run::Savepoint) => &[RELEASE],
            _ => &[],
        }
    }

    /// A command was passed on.
    fn after(&mut self, stated: &Stated) {
        let Some(Effect::Transaction(control)) = stated.statement().map(|statement| &statement.effect) else {
            return;
        };
        match control {
            Control::Begin => self.explicit = true,
            Control::Commit { chain } | Control::Rollback { chain } => (self.explicit, self.run) = (*chain, None),
            Control::Prepare => (self.explicit, self.run) = (false, None),
            _ => {}
        }
    }

    /// Puts in front of a message of a pipeline what belongs there.
    pub fn put_before(&mut self, guarded: bool, state: &mut State, out: &mut Vec<u8>) {
        put_all(self.before(guarded), state, out);
    }

    /// Notes that a portal was executed.
    pub fn executed(&mut self, stated: Option<&Stated>) {
        if let Some(stated) = stated {
            self.after(stated);
        }
    }

    /// Puts at the end of a pipeline's unit what belongs there.
    pub fn put_end(&mut self, state: &mut State, out: &mut Vec<u8>) {
        put_all(self.end(), state, out);
    }
}

fn put_all(statements: &[&str], state: &mut State, out: &mut Vec<u8>) {
    for statement in statements {
        put(statement, state, out);
    }
}

/// One statement of the door's own by the extended protocol, in the same transaction as what stands beside it. Its answers
/// are swallowed.
fn put(sql: &str, state: &mut State, out: &mut Vec<u8>) {
    let close = |out: &mut Vec<u8>, kind: u8| {
        frame::put(out, b'C', |out| {
            out.push(kind);
            frame::put_cstr(out, OWN);
        });
    };
    close(out, b'S');
    frame::put(out, b'P', |out| {
        frame::put_cstr(out, OWN);
        frame::put_cstr(out, sql);
        out.extend_from_slice(&0u16.to_be_bytes());
    });
    frame::put(out, b'B', |out| {
        frame::put_cstr(out, OWN);
        frame::put_cstr(out, OWN);
        out.extend_from_slice(&[0; 6]);
    });
    frame::put(out, b'E', |out| {
        frame::put_cstr(out, OWN);
        out.extend_from_slice(&0i32.to_be_bytes());
    });
    close(out, b'P');
    for tag in [b'3', b'1', b'2', b'C', b'3'] {
        state.expected.push(Expect::Quiet(tag));
    }
}

/// Name of the door's own statement and portal. It begins as [`RESERVED`] does, which is refused to clients.
///
/// [`RESERVED`]: super::refuse::RESERVED
const OWN: &str = "\u{1}sallyport read-only";

/// The text of a Query string with its guards, and with `leading` in front of everything; `None` where it is sent as it is.
///
/// # Errors
/// When it is not certain where a statement ends.
pub fn splice(
    text: &str,
    parts: &[(&Stated, bool)],
    explicit: bool,
    leading: Option<&str>,
) -> Result<Option<Spliced>, Ambiguous> {
    let guarded = parts.iter().any(|(_, guarded)| *guarded);
    if !guarded && leading.is_none() {
        return Ok(None);
    }
    if guarded && parts.len() > 1 && parts.iter().any(|(stated, _)| stated.script.is_ambiguous()) {
        return Err(Ambiguous);
    }
    let mut guard = Guard::new(explicit);
    let mut spliced = Spliced::default();
    if let Some(leading) = leading {
        spliced.insert(&format!("{leading}; "));
    }
    let mut at = 0;
    for (index, (stated, guarded)) in parts.iter().enumerate() {
        // The first statement of a text begins where the text does: no reading puts it elsewhere.
        let begins = match index {
            0 => 0,
            _ => stated.statement().map_or(at, |statement| statement.range.start.max(at)),
        };
        spliced.copy(text.get(at..begins).unwrap_or_default());
        at = begins;
        for own in guard.before(*guarded) {
            spliced.insert(&format!("{own}; "));
        }
        spliced.clients.push(true);
        guard.after(stated);
    }
    spliced.copy(text.get(at..).unwrap_or_default());
    for own in guard.end() {
        // On a line of its own: the text may end in a comment.
        spliced.insert(&format!("\n; {own}"));
    }
    Ok(Some(spliced))
}

// === impl Spliced ===

impl Spliced {
    fn copy(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn insert(&mut self, own: &str) {
        self.shifts.push((self.text.chars().count(), own.chars().count()));
        self.text.push_str(own);
        self.clients.push(false);
    }
}

/// Where a position in the spliced text is in the client's own; both count characters from 1.
#[must_use]
pub fn unshifted(position: usize, shifts: &[(usize, usize)]) -> usize {
    let before: usize = shifts
        .iter()
        .filter(|(at, len)| position > at + len)
        .map(|(_, len)| len)
        .sum();
    position.saturating_sub(before).max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn spliced(text: &str, guarded: &[bool], explicit: bool) -> Result<Option<Spliced>, Ambiguous> {
        let script = Arc::new(sallyport_policy::sql::parse(text).unwrap());
        let stated: Vec<Stated> = (0..script.statements.len())
            .map(|index| Stated {
                text: text.into(),
                script: Arc::clone(&script),
                index,
            })
            .collect();
        let parts: Vec<_> = stated.iter().zip(guarded.iter().copied()).collect();
        splice(text, &parts, explicit, None)
    }

    #[test]
    fn guards_stand_around_what_is_guarded() {
        let cases: [(&str, &[bool], bool, &str); 8] = [
            (
                " select f()",
                &[true],
                false,
                "SET transaction_read_only = on;  select f()",
            ),
            (
                "select f() -- x",
                &[true],
                true,
                "SAVEPOINT sallyport_read_only; SET LOCAL transaction_read_only = on; select f() -- x\n; RELEASE SAVEPOINT sallyport_read_only",
            ),
            (
                "select 1; select 2; delete from t",
                &[true, true, false],
                true,
                "SAVEPOINT sallyport_read_only; SET LOCAL transaction_read_only = on; select 1; select 2; RELEASE SAVEPOINT sallyport_read_only; delete from t",
            ),
            (
                "begin; select 1; commit; select 2",
                &[false, true, false, true],
                false,
                "begin; SAVEPOINT sallyport_read_only; SET LOCAL transaction_read_only = on; select 1; RELEASE SAVEPOINT sallyport_read_only; commit; SET transaction_read_only = on; select 2",
            ),
            (
                "select 1; commit; select 2",
                &[true, false, true],
                false,
                "SET transaction_read_only = on; select 1; commit; SET transaction_read_only = on; select 2",
            ),
            (
                "lock t in access share mode; set transaction read write; select f()",
                &[true, false, true],
                false,
                "SET transaction_read_only = on; lock t in access share mode; set transaction read write; SET transaction_read_only = on; select f()",
            ),
            (
                "fetch c; begin read write; select f()",
                &[true, false, true],
                false,
                "SET transaction_read_only = on; fetch c; begin read write; SAVEPOINT sallyport_read_only; SET LOCAL transaction_read_only = on; select f()\n; RELEASE SAVEPOINT sallyport_read_only",
            ),
            (
                "select $$;$$; select 'é'",
                &[false, true],
                false,
                "select $$;$$; SET transaction_read_only = on; select 'é'",
            ),
        ];
        for (text, guarded, explicit, want) in cases {
            let got = spliced(text, guarded, explicit).unwrap().unwrap();
            assert_eq!(got.text, want);
            assert_eq!(got.clients.iter().filter(|own| **own).count(), guarded.len(), "{text}");
            assert_eq!(
                sallyport_policy::sql::parse(&got.text).unwrap().statements.len(),
                got.clients.len(),
                "{text}"
            );
        }
        assert_eq!(spliced("select 1", &[false], false), Ok(None));
        assert_eq!(
            spliced(r"select 'a\\'; select 'b'", &[true, true], false),
            Err(Ambiguous)
        );
    }

    #[test]
    fn positions_are_those_of_the_clients_text() {
        let text = "begin; select é, nosuch";
        let got = spliced(text, &[false, true], false).unwrap().unwrap();
        let place = |text: &str| {
            let at = text.find("nosuch").unwrap();
            text.get(..at).unwrap().chars().count() + 1
        };
        assert_eq!(unshifted(place(&got.text), &got.shifts), place(text));
        assert_eq!(unshifted(1, &got.shifts), 1);
    }

    #[test]
    fn transaction_control_and_settings_are_left_alone() {
        for (text, code) in [
            ("begin", false),
            ("set transaction isolation level serializable", false),
            ("show all", false),
            ("discard all", false),
            ("select 1", true),
            ("execute p", true),
            ("declare c cursor for select f()", true),
            ("explain analyze select f()", true),
            ("copy t to stdout", true),
            ("vacuum", true),
            ("select set_config('a.b', f(), false)", true),
        ] {
            let stated = Stated {
                text: text.into(),
                script: Arc::new(sallyport_policy::sql::parse(text).unwrap()),
                index: 0,
            };
            assert_eq!(runs_code(&stated), code, "{text}");
        }
    }
}
