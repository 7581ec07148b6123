//! What a statement changes in the session once it has run, and what the door has to look up again after it.

use std::rc::Rc;

use sallyport_policy::catalog::{Catalog as _, Snapshot};
use sallyport_policy::decide::Command;
use sallyport_policy::sql::{Effect, Lineage, Statement, Transaction, Verb};

use super::names::{Change, Stated};
use super::rows::View;

/// What the door's own knowledge of a session may no longer be true of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// How unqualified names are looked up.
    pub path: bool,
    /// Relations that only this session sees: temporary ones, and its own uncommitted ones.
    pub relations: bool,
    /// What names of prepared statements mean.
    pub names: bool,
    /// How bytes are read as text.
    pub encoding: bool,
}

/// What follows from one statement that ran.
#[derive(Clone, Debug, Default)]
pub struct After {
    /// What it does to transactions.
    pub transaction: Option<Transaction>,
    /// What has to be looked up again.
    pub stale: Stale,
    /// Whether it sets how names are looked up.
    pub moves: bool,
    /// Whether its transaction sees from here on what another saw before.
    pub imports: bool,
    /// Whether it may end a pipeline's own transaction by itself, either way.
    pub commits: bool,
}

/// Verbs after which relations may be others.
const DEFINES: [Verb; 4] = [Verb::Create, Verb::Alter, Verb::Drop, Verb::Discard];

/// Verbs after which names may be looked up elsewhere: the path leaves out schemas that are not there, or that the role may not use.
const LEADS: [Verb; 6] = [
    Verb::Reset,
    Verb::Discard,
    Verb::Create,
    Verb::Drop,
    Verb::Grant,
    Verb::Revoke,
];

/// Verbs that may end a transaction that nobody opened in so many words: what they run commits and rolls back as it likes.
const COMMITS: [Verb; 5] = [Verb::Call, Verb::Do, Verb::Vacuum, Verb::Reindex, Verb::Cluster];

/// How a command calls a setting whose name cannot be read.
const ANY_SETTING: &str = "*";

/// How PostgreSQL's grammar calls what SET TRANSACTION SNAPSHOT sets. Nothing else imports one: functions run too late for it, and
/// the transactions that a procedure begins end with its unit.
const SNAPSHOT: &str = "transaction snapshot";

/// How PostgreSQL writes a view's call that changes a setting.
const SETS: &str = "set_config(";

// === impl After ===

impl After {
    /// What follows from a statement, by all its readings. `command`: what it does, with what EXECUTE and FETCH name, and
    /// what runs in views and triggers: each of them changes the session as if it stood in the text.
    pub fn of<'a>(readings: impl Iterator<Item = &'a Statement>, command: &Command) -> Self {
        // SET CONSTRAINTS runs what triggers have put off.
        let opaque =
            command.opaque.iter().any(|what| !is_system_view(what)) || command.verbs.contains(Verb::Constraints);
        let sets = |name: &String| {
            matches!(
                name.as_str(),
                ANY_SETTING | "search_path" | "role" | "session_authorization"
            )
        };
        let moves = command.settings.iter().any(sets);
        let any = command.settings.iter().any(|name| name == ANY_SETTING);
        let mut after = Self {
            transaction: None,
            stale: Stale {
                path: opaque || moves || command.verbs.any(&LEADS),
                relations: opaque || command.verbs.any(&DEFINES),
                names: opaque,
                // RESET ALL gives back the encoding that the door asked for.
                encoding: opaque || any && !command.verbs.contains(Verb::Reset),
            },
            moves,
            imports: command.settings.iter().any(|name| name == SNAPSHOT),
            commits: command.verbs.any(&COMMITS),
        };
        for statement in readings {
            if let Effect::Transaction(transaction) = &statement.effect {
                after.transaction = Some(transaction.clone());
            }
        }
        after
    }

    /// Whether it may commit the transaction that it runs in, or leave its work for another to commit. `opened`: in so many
    /// words, and then no procedure does. Code that nobody sees into may run EXECUTE of a prepared COMMIT.
    #[must_use]
    pub fn may_commit(&self, opened: bool) -> bool {
        let ends = matches!(
            self.transaction,
            Some(Transaction::Commit { .. } | Transaction::Prepare)
        );
        ends || self.stale.names || self.commits && !opened
    }

    /// Takes note of settings that views change where they are read: no name of one stands in the text.
    pub fn read_through(&mut self, lineages: &[Lineage], catalog: &Snapshot) {
        let mut relations = lineages.iter().flat_map(|lineage| lineage.relations.iter());
        let sets = relations.any(|oid| {
            let definition = catalog.relation(*oid).and_then(|relation| relation.definition.as_ref());
            definition.is_some_and(|text| text.contains(SETS))
        });
        self.moves |= sets;
        self.stale.path |= sets;
        self.stale.encoding |= sets;
    }
}

/// Whether what cannot be seen into is a view of PostgreSQL's own: its schema takes no others, and none of them changes a
/// session.
fn is_system_view(what: &str) -> bool {
    what.starts_with("view pg_catalog.")
}

/// Whether what cannot be seen into is PostgreSQL's own and only tells: it says nothing to others, and changes no encoding.
#[must_use]
pub fn only_tells(what: &str) -> bool {
    let kinds = ["view information_schema.", "system function "];
    is_system_view(what) || kinds.iter().any(|kind| what.starts_with(kind))
}

/// Whether of what cannot be seen into something runs as soon as a statement is parsed: the code of a type, for a literal that is cast
/// to it, or that is a text and becomes a value of a column's.
#[must_use]
pub fn runs_parsed(stated: &Stated, opaque: &[String]) -> bool {
    let texts = || stated.readings().any(Statement::states_text);
    opaque
        .iter()
        .any(|what| what.starts_with("type ") || what.starts_with("types of ") && texts())
}

// === impl Stale ===

impl Stale {
    /// Whether anything is.
    #[must_use]
    pub fn any(self) -> bool {
        self.path || self.relations || self.names || self.encoding
    }

    /// Adds what else is.
    pub fn add(&mut self, other: Self) {
        self.path |= other.path;
        self.relations |= other.relations;
        self.names |= other.names;
        self.encoding |= other.encoding;
    }
}

/// The names that a statement of SQL changes. `view`: how what it answers is masked; a cursor keeps it, since names that its
/// query holds are looked up once, where it is declared.
#[must_use]
pub fn change(stated: &Stated, view: &Rc<View>) -> Option<Change> {
    let statement = stated.statement()?;
    match &statement.effect {
        Effect::Prepare { name } => {
            let prepared = super::names::Prepared {
                stated: Some(stated.clone()),
                by_sql: true,
                types: Vec::new(),
                meant: super::meant::Meant::default(),
            };
            Some(Change::Prepare(name.clone(), std::rc::Rc::new(prepared)))
        }
        Effect::Deallocate { name } => Some(Change::Deallocate(name.clone())),
        Effect::Declare { name, .. } => Some(Change::Declare(name.clone(), stated.clone(), Rc::clone(view))),
        Effect::Close { name } => Some(Change::CloseCursor(name.clone())),
        Effect::Discard { all: true } => Some(Change::Discard),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imported_snapshot_is_noticed() {
        for (sql, want) in [
            ("set transaction snapshot '00000003-0000001B-1'", true),
            ("SET LOCAL TRANSACTION SNAPSHOT '00000003-0000001B-1'", true),
            ("set transaction isolation level repeatable read, read only", false),
            ("select pg_export_snapshot()", false),
        ] {
            let script = sallyport_policy::sql::parse(sql).unwrap();
            let command = Command::of(&script.statements[0], sql);
            let after = After::of(script.statements.iter(), &command);
            assert_eq!((after.imports, after.stale), (want, Stale::default()), "{sql}");
        }
    }

    #[test]
    fn what_may_lead_names_elsewhere_is_noticed() {
        for (sql, path, relations) in [
            ("grant usage on schema s to public", true, false),
            ("revoke all on schema s from current_user", true, false),
            ("import foreign schema s from server v into t", true, true),
            ("create schema s", true, true),
            ("alter schema s rename to t", false, true),
            ("comment on table t is 'x'", false, false),
            ("insert into t values (1)", false, false),
        ] {
            let script = sallyport_policy::sql::parse(sql).unwrap();
            let command = Command::of(&script.statements[0], sql);
            let after = After::of(script.statements.iter(), &command);
            assert_eq!((after.stale.path, after.stale.relations), (path, relations), "{sql}");
        }
    }

    #[test]
    fn what_may_change_the_encoding_is_noticed() {
        for (sql, may) in [
            ("select set_config('a' || 'b', 'SJIS', false)", true),
            ("select unseen()", true),
            ("select set_config('work_mem', '1MB', false)", false),
            ("set client_encoding = 'UTF8'", false),
            ("reset all", false),
        ] {
            let script = sallyport_policy::sql::parse(sql).unwrap();
            let command = Command::of(&script.statements[0], sql);
            let after = After::of(script.statements.iter(), &command);
            assert_eq!(after.stale.encoding, may, "{sql}");
        }
    }

    #[test]
    fn what_may_commit_is_known_before_it_is_answered() {
        for (sql, inside, outside) in [
            ("commit", true, true),
            ("end", true, true),
            ("commit and chain", true, true),
            ("prepare transaction 'x'", true, true),
            ("rollback", false, false),
            ("savepoint a", false, false),
            ("insert into t values (1)", false, false),
            ("vacuum t", false, true),
            ("select unseen()", true, true),
        ] {
            let script = sallyport_policy::sql::parse(sql).unwrap();
            let command = Command::of(&script.statements[0], sql);
            let after = After::of(script.statements.iter(), &command);
            assert_eq!(
                (after.may_commit(true), after.may_commit(false)),
                (inside, outside),
                "{sql}"
            );
        }
    }
}
