//! A parsed text and its statements.

use std::collections::BTreeSet;
use std::ops::Range;

use super::beyond;
use super::columns;
use super::defined;
use super::denied::Denied;
use super::effect::{self, Effect, Setting, Transaction};
use super::facts;
use super::fingerprint::{self, Digest};
use super::functions::only_tells;
use super::grammar::OBJECT_SCHEMA;
use super::names::{FunctionRef, RelationRef};
use super::parser::Raw;
use super::tree::{Node, Tree};
use super::verb::{Verb, Verbs};
use super::written::{self, Given};

/// A parsed text. Immutable: share it as `Arc<Script>`.
#[derive(Debug)]
pub struct Script {
    /// The statements in order, as PostgreSQL reads them by default. Empty for an empty text.
    pub statements: Vec<Statement>,
    other: Option<Vec<Statement>>,
    size: usize,
}

/// One statement and what its tree says.
#[derive(Debug)]
pub struct Statement {
    /// Bytes of the text that it was made from, without surrounding white space.
    pub range: Range<usize>,
    /// The verb of the statement itself.
    pub verb: Verb,
    /// Everything that it does, at any depth. A statement that is only prepared or explained counts as if it ran.
    pub verbs: Verbs,
    /// Relations that it names, common table expressions left out.
    pub relations: Vec<RelationRef>,
    /// Functions and operators that it calls by name; PostgreSQL's own operators are left out.
    pub functions: Vec<FunctionRef>,
    /// What is refused about it whatever the rules say, unless the Connection opens it.
    pub denied: Vec<Denied>,
    /// What nobody can see into: unknown functions and operators, DO blocks, procedures. Not empty means that it may
    /// write and may answer with anything.
    pub opaque: Vec<String>,
    /// Statements prepared by SQL that it executes, at any depth.
    pub executes: Vec<String>,
    /// Cursors that it reads (FETCH, WHERE CURRENT OF).
    pub cursors: Vec<String>,
    /// Settings that it changes.
    pub settings: Vec<Setting>,
    /// What it does to the session.
    pub effect: Effect,
    /// The highest number of a bound parameter (`$n`); 0 if there is none.
    pub highest_param: u32,
    /// Whether every UPDATE, DELETE and MERGE in it chooses rows by a condition that hangs on a column of theirs, or, where there is
    /// none of them, the query has a WHERE. Rows that an upsert writes out are chosen. Whose a column is only a catalog can tell.
    pub has_where: bool,
    /// Whether it locks rows (`FOR UPDATE` and its like), or tables by more than readers do.
    pub locks_rows: bool,
    /// Whether it applies operators or casts, or calls what the grammar spells out, which may be of users.
    pub operates: bool,
    /// Whether which setting it changes is known only if `pg_settings`, from which it reads the name, or the type `text`, to which it
    /// casts it, is PostgreSQL's own.
    pub pins: bool,
    /// Whether it is an EXPLAIN that runs what it explains.
    pub explain_analyze: bool,
    /// What it reaches that it does not name: what CASCADE takes along, all that is in a schema or that a role owns.
    pub beyond: Option<&'static str>,
    tree: Tree,
}

/// How the grammar numbers a SET to a value, among what is done to a setting.
const SET_VALUE: i64 = 1;

/// Bytes beyond which PostgreSQL cuts a name (`NAMEDATALEN`).
const NAME_BYTES: usize = 64;

/// Statements that make or replace code that other statements run, by name or unseen.
const CODE: [&str; 18] = [
    "AlterDomainStmt",
    "AlterEventTrigStmt",
    "AlterExtensionContentsStmt",
    "AlterExtensionStmt",
    "AlterFunctionStmt",
    "AlterOpFamilyStmt",
    "AlterPolicyStmt",
    "CreateCastStmt",
    "CreateDomainStmt",
    "CreateEventTrigStmt",
    "CreateExtensionStmt",
    "CreateFunctionStmt",
    "CreateOpClassStmt",
    "CreatePolicyStmt",
    "CreateRangeStmt",
    "CreateTrigStmt",
    "DefineStmt",
    "RuleStmt",
];

/// Statements that make columns, or fields, of types that they name.
const MAKING_COLUMNS: [&str; 4] = [
    "CompositeTypeStmt",
    "CreateForeignTableStmt",
    "CreateSchemaStmt",
    "CreateStmt",
];

/// Structures whose statements may be granted by fingerprint.
pub(super) const DATA: [&str; 5] = ["SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"];

/// What a statement may do and still be run in a read-only transaction.
const READING: [Verb; 11] = [
    Verb::Select,
    Verb::Explain,
    Verb::Show,
    Verb::CopyTo,
    Verb::Declare,
    Verb::Fetch,
    Verb::Close,
    Verb::Prepare,
    Verb::Execute,
    Verb::Deallocate,
    Verb::Lock,
];

// === impl Script ===

impl Script {
    pub(super) fn new(statements: Vec<Statement>, other: Option<Vec<Statement>>) -> Self {
        let each = statements.iter().chain(other.iter().flatten());
        let size = each.map(|statement| statement.tree.size()).sum();
        Self {
            statements,
            other,
            size,
        }
    }

    /// Every way in which the server may read the text: one, or two where a plain literal holds a backslash. The worse
    /// verdict holds.
    pub fn readings(&self) -> impl Iterator<Item = &[Statement]> {
        std::iter::once(self.statements.as_slice()).chain(self.other.as_deref())
    }

    /// Which of its statements prepares one of this name, where it is the only one, however the text is read.
    pub fn preparing(&self, name: &str) -> Option<usize> {
        let prepares = |one: &Statement| matches!(&one.effect, Effect::Prepare { name: known } if known == name);
        let mut only = None;
        for statements in self.readings() {
            let mut found = statements.iter().enumerate().filter(|(_, one)| prepares(one));
            let (index, _) = found.next()?;
            if found.next().is_some() || only.is_some_and(|known| known != index) {
                return None;
            }
            only = Some(index);
        }
        only
    }

    /// Nodes of all its trees: what it takes to keep it.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether the text means different things under the two settings of `standard_conforming_strings`.
    pub fn is_ambiguous(&self) -> bool {
        self.other.is_some()
    }

    /// Why a text is refused of which one reading has more statements than another: nobody would judge those.
    #[must_use]
    pub fn uncounted(&self) -> Option<&'static str> {
        let mut readings = self.readings();
        let uneven = readings.any(|statements| statements.len() != self.statements.len());
        uneven.then_some(
            "how many statements this is depends on standard_conforming_strings: write literals with a backslash as E'…'",
        )
    }
}

// === impl Statement ===

impl Statement {
    /// `None` for the nothing between two semicolons.
    pub(super) fn of(raw: Raw, text: &str) -> Option<Self> {
        let range = trim(text, raw.start, raw.end);
        let root = raw.tree.root()?;
        let facts = facts::gather(root, 0);
        let has_where = match facts.changes {
            0 => root.has("where_clause"),
            changes => facts.changes_with_where == changes,
        };
        Some(Self {
            verb: own_verb(root, facts.verbs),
            effect: effect::of(root),
            verbs: facts.verbs,
            relations: facts.relations,
            functions: facts.functions,
            denied: facts.denied,
            opaque: facts.opaque,
            executes: facts.executes,
            cursors: facts.cursors,
            settings: facts.settings,
            highest_param: facts.highest_param,
            has_where,
            locks_rows: facts.locks,
            operates: facts.operates,
            pins: facts.pins,
            explain_analyze: facts.runs_explained,
            beyond: facts.beyond,
            range,
            tree: raw.tree,
        })
    }

    /// Whether nothing in the tree writes, locks rows or hides; what PostgreSQL tells of itself hides nothing. A hidden write (trigger,
    /// rule, function of a view) is still possible and fails in PostgreSQL itself if the statement is run in a read-only transaction.
    pub fn is_read(&self) -> bool {
        self.reads() && self.opaque.iter().all(|what| only_tells(what))
    }

    /// The same, whatever hides.
    pub(crate) fn reads(&self) -> bool {
        self.verbs.within(&READING) && !self.locks_rows
    }

    /// Digest of the normal form in which only the values of bound parameters may vary. `None` for statements that are
    /// granted verbatim only: utilities, DDL, DO, CALL, EXECUTE, SET, GRANT. A statement of [`Shapes`] stands for others that
    /// differ in numbers, and so has none that could be compared: parse its own text.
    ///
    /// [`Shapes`]: super::Shapes
    #[must_use]
    pub fn fingerprint(&self) -> Option<Digest> {
        self.is_data().then(|| self.digest())
    }

    pub(super) fn digest(&self) -> Digest {
        fingerprint::of_tree(&self.tree)
    }

    /// Every name in its tree, whatever it may be the name of: of a relation, column, function, operator, type or alias. Values
    /// of constants are left out.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.tree.names()
    }

    /// Names in it that are those of columns, whichever relation has them: what it refers to, assigns, copies or defines. One that
    /// stands alone and is that of a relation or an alias, too, is taken for its whole row.
    #[must_use]
    pub fn column_names(&self) -> BTreeSet<&str> {
        columns::names(&self.tree)
    }

    /// Whether it does no more than read and write rows.
    pub fn is_data(&self) -> bool {
        self.root()
            .is_some_and(|root| DATA.contains(&root.kind()) && !root.has("into_clause"))
    }

    /// Whether locks can be taken before it that are there behind it, and what behind it cannot be parsed fails all that it began: it
    /// neither ends a transaction nor divides one, and says nothing of what a transaction sees, which has to come first in it.
    pub fn keeps_locks(&self) -> bool {
        let elsewhere = |setting: &Setting| {
            setting
                .name
                .as_ref()
                .is_some_and(|name| !name.starts_with("transaction"))
        };
        match &self.effect {
            Effect::Transaction(Transaction::Begin) => !self.root().is_some_and(|root| root.has("options")),
            Effect::Transaction(_) => false,
            _ => self.settings.iter().all(elsewhere),
        }
    }

    /// Whether it makes code or gives it another name: what a name calls, and what a table runs, is something else behind it.
    pub fn makes_code(&self) -> bool {
        self.root().is_some_and(|root| match root.kind() {
            "AlterObjectSchemaStmt" | "RenameStmt" => !root.has("relation"),
            "CreateSchemaStmt" => root.has("schema_elts"),
            kind => CODE.contains(&kind),
        })
    }

    /// Types of the columns of a table, or of the fields of a row type, that it makes, by their names.
    #[must_use]
    pub fn made_of(&self) -> BTreeSet<&str> {
        let root = self.root().filter(|root| MAKING_COLUMNS.contains(&root.kind()));
        let types = root.into_iter().flat_map(Node::all).filter(|node| node.is("TypeName"));
        types.filter_map(|node| node.names("names").last().copied()).collect()
    }

    /// Whether all that it does is to give a relation, or what is in one, another name or schema: nothing is computed and no row is read.
    pub fn only_renames(&self) -> bool {
        let renames = ["AlterObjectSchemaStmt", "RenameStmt"];
        self.root()
            .is_some_and(|root| renames.contains(&root.kind()) && root.has("relation"))
    }

    /// The columns that it is about, where what it defines hangs on these alone.
    #[must_use]
    pub fn defined(&self) -> Option<Vec<&str>> {
        self.root().and_then(defined::columns)
    }

    /// Names that mean other relations behind it: of one that gets another name or schema, that name and the new one.
    #[must_use]
    pub fn renames(&self) -> Vec<&str> {
        let Some(root) = self.root() else { return Vec::new() };
        let whole = match root.kind() {
            // What has a name within a relation is a column or the like.
            "RenameStmt" => root.text("subname").is_empty(),
            kind => kind == "AlterObjectSchemaStmt",
        };
        let relation = root.node("relation").filter(|_| whole).into_iter();
        let names = relation.flat_map(|relation| [relation.text("relname"), root.text("newname")]);
        names.filter(|name| !name.is_empty()).collect()
    }

    /// What a `SET search_path` in so many words sets it to, as a text of that setting. `None` for any other statement, and where a
    /// schema is not what it is called: the role's, the session's own, PostgreSQL's.
    #[must_use]
    pub fn path_set(&self) -> Option<String> {
        let root = self.root().filter(|root| root.is("VariableSetStmt"))?;
        if root.int("kind") != SET_VALUE || !root.text("name").eq_ignore_ascii_case("search_path") {
            return None;
        }
        let named: Option<Vec<&str>> = root.list("args").map(Node::literal).collect();
        let named = named.filter(|named| !named.is_empty())?;
        let plain = |name: &&str| name.len() < NAME_BYTES && !name.starts_with('$') && !name.starts_with("pg_");
        let quoted = |name: &&str| format!("\"{}\"", name.replace('"', "\"\""));
        let all: Option<Vec<String>> = named.iter().map(|name| plain(name).then(|| quoted(name))).collect();
        all.map(|all| all.join(", "))
    }

    /// Whether it makes places that names may lead to from here on, or of which no text says the columns. A schema that the role may
    /// not use is none: names pass by it to those that stand behind it in the path.
    pub fn makes_places(&self) -> bool {
        let places = ["CreateForeignTableStmt", "CreateSchemaStmt", "ImportForeignSchemaStmt"];
        self.root().is_some_and(|root| match root.kind() {
            "GrantStmt" => root.int("objtype") == OBJECT_SCHEMA,
            kind => places.contains(&kind),
        })
    }

    /// Whether it copies a database, or has one go by another name.
    pub fn takes_database(&self) -> bool {
        self.root().is_some_and(beyond::takes_database)
    }

    /// Whether it has one statement do another, too: what is written behind it goes elsewhere as well.
    pub fn makes_rule(&self) -> bool {
        self.root().is_some_and(|root| root.is("RuleStmt"))
    }

    /// Whether something that it is given may be written over what a row holds: what stands in a condition only chooses rows,
    /// and a new row takes no other's place. `seen`: nothing runs that its names do not tell, such as a rule or a trigger. Of
    /// what does more than read and write rows everything counts.
    pub fn overwrites(&self, seen: bool, is_meant: impl Fn(Given<'_>) -> bool) -> bool {
        let root = self.root().filter(|_| self.is_data() && self.opaque.is_empty());
        root.is_none_or(|root| {
            let replaces = !seen || self.tree.nodes().any(written::replaces);
            replaces && written::holds(root, &is_meant)
        })
    }

    /// The statement's text.
    pub fn text<'a>(&self, script: &'a str) -> &'a str {
        script.get(self.range.clone()).unwrap_or_default()
    }

    pub(crate) fn root(&self) -> Option<Node<'_>> {
        self.tree.root()
    }
}

fn own_verb(root: Node<'_>, verbs: Verbs) -> Verb {
    // Structures with several verbs are alone in their statement, or first in it.
    const BY_FIELDS: [Verb; 18] = [
        Verb::CopyFrom,
        Verb::CopyTo,
        Verb::Grant,
        Verb::Revoke,
        Verb::Vacuum,
        Verb::Analyze,
        Verb::Begin,
        Verb::Commit,
        Verb::Rollback,
        Verb::Savepoint,
        Verb::PrepareTransaction,
        Verb::Set,
        Verb::Reset,
        Verb::Create,
        Verb::Alter,
        Verb::Drop,
        Verb::Utility,
        Verb::Select,
    ];
    if root.has("into_clause") {
        return Verb::Create;
    }
    let own = Verb::of_kind(root.kind());
    own.or_else(|| BY_FIELDS.into_iter().find(|verb| verbs.contains(*verb)))
        .unwrap_or(Verb::Utility)
}

fn trim(text: &str, start: usize, end: usize) -> Range<usize> {
    let body = text.get(start..end).unwrap_or_default();
    let leading = body.len() - body.trim_start().len();
    let length = body.trim().len();
    start + leading..start + leading + length
}
