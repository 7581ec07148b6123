//! What expressions see: `command`, `identity`, `connection`, `session`.
//!
//! | name | type | meaning |
//! |---|---|---|
//! | `command.protocol` | string | `postgresql` |
//! | `command.text` | string | the exact text |
//! | `command.database` | string | the database |
//! | `command.verbs` | list of strings | what it does, at any depth: `select`, `delete`, `copy_to`, … |
//! | `command.verb` | string | of its verbs the one with the highest score, of equals the first in `command.verbs`; empty if there is none |
//! | `command.tables` | list of strings | relations it touches, as `schema.table`, closed over views, partitions, and what it touches a partition or child of |
//! | `command.written` | list of strings | those of them that it writes or changes, closed over what a view writes to, partitions, children, rows that follow by foreign keys, and the parents of all these |
//! | `command.writes` | list of strings | the same as `command.written` |
//! | `command.columns` | list of strings | columns it names, as `schema.table.column` |
//! | `command.functions` | list of strings | functions it calls, as written |
//! | `command.settings` | list of strings | settings it changes; `*` for one that cannot be seen |
//! | `command.has_where` | bool | every change in it chooses rows; without changes: the query does |
//! | `command.hasWhere` | bool | the same as `command.has_where` |
//! | `command.read_only` | bool | nothing in it writes, locks more than readers do, or hides; views and functions by which PostgreSQL tells of itself (`pg_roles`, `information_schema`, `pg_stat_activity`) hide nothing |
//! | `command.opaque` | bool | something in it cannot be seen into |
//! | `command.hidden` | list of strings | what of that may do anything: `function app.close`, `a procedure`, `a DO block`, … |
//! | `command.protected` | bool | a protected column stands in it |
//! | `command.in_transaction` | bool | a transaction is open |
//! | `command.params_count` | int | how many parameters are bound |
//! | `command.parameters` | list of strings and null | their values, `null` for NULL; empty also where the values stand in the text |
//! | `command.rows` | int | rows that the target's statistics count in the tables that it changes (else: reads), whatever its condition; -1 if unknown |
//! | `command.risk` | int | the documented score, 0 to 100 |
//! | `identity.user` | string | user name, as `oidc:alice` |
//! | `identity.groups` | list of strings | groups, as `oidc:engineers` |
//! | `identity.agents` | list of strings | the agents that act for the person, nearest first, by user name, as `oidc:robot`: from the agent's own token, or as the person's token says it (in `act`, by the issuer's own claim for names), else by `sub`; a client that has the person's token by its id |
//! | `identity.issuer` | string | URL of the issuer |
//! | `identity.email` | string | verified address; empty if there is none |
//! | `connection.name`, `connection.namespace` | string | the Connection |
//! | `connection.labels` | map of strings | its labels; ask with `'key' in connection.labels` first |
//! | `session.source` | string | address that the client comes from: `cidr('10.0.0.0/8').containsIP(session.source)` |
//! | `session.time['ZONE']` | string | time of day in a zone (IANA), as `08:30`; texts of times compare as times do |
//! | `session.weekday['ZONE']` | string | `Monday` to `Sunday` there |
//! | `session.date['ZONE']` | string | date there, as `2026-12-24` |
//!
//! A parameter is the text that the client sends, to the letter: `'7'`, `' 7'` and `'07'` are three texts of one number. So say
//! what may be, and not what may not: `size(command.parameters) == 1 && command.parameters.all(p, p in ['7', '8'])`. What is sent
//! in binary form is read where the client states one of the types text, varchar, bpchar, name, int2, int4, int8, bool (`t`,
//! `f`) and uuid for it. Where anything else is bound, or text beyond UTF-8, a rule whose answer hangs on `command.parameters`
//! cannot be evaluated, and denies. Rules are asked about values when they are bound: until then the statement is only parsed.
//!
//! A command of which something is hidden is tried as whatever it may do as well (see [`unseen`](super::super::unseen)):
//! with every verb that changes anything, without a WHERE, and with relations, columns, functions, and settings beyond those
//! that it names, of which `*.*`, `*.*.*`, `*`, and `*` are one each. What reaches relations that nobody can tell (CASCADE, a
//! whole schema, names that an earlier statement of the unit may have changed) is tried with such names alone.

use std::collections::{BTreeMap, HashMap};

use kube_cel::cel::{Context, Value};

use crate::sql::{SAMPLED, Verb, Verbs};
use crate::subject::Subject;

use super::super::Command;
use super::super::command::{ANY_SETTING, Parameter};
use super::super::risk::gravest;
use super::fact::Fact;
use super::zone;

/// Fields of `command`.
pub(super) const COMMAND: [&str; 22] = [
    "protocol",
    "text",
    "database",
    "verbs",
    "verb",
    "tables",
    "written",
    "writes",
    "columns",
    "functions",
    "settings",
    "has_where",
    "hasWhere",
    "read_only",
    "opaque",
    "hidden",
    "protected",
    "in_transaction",
    "params_count",
    "parameters",
    "rows",
    "risk",
];
/// Those of them that are lists of names.
pub(super) const NAMES: [&str; 6] = ["tables", "written", "writes", "columns", "functions", "settings"];
/// Fields of `identity`.
pub(super) const IDENTITY: [&str; 5] = ["user", "groups", "agents", "issuer", "email"];
/// Fields of `connection`.
pub(super) const CONNECTION: [&str; 3] = ["name", "namespace", "labels"];
/// Fields of `session`.
pub(super) const SESSION: [&str; 4] = ["source", "time", "weekday", "date"];
/// Those of them that are asked in a zone.
pub(super) const ZONED: [&str; 3] = ["time", "weekday", "date"];

/// What a field is another name for, or is made of: whose answer hangs on the one hangs on the other.
pub(super) fn meant(field: &str) -> &str {
    match field {
        "verb" => "verbs",
        "writes" => "written",
        "hasWhere" => "has_where",
        other => other,
    }
}

/// What is known of the Connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionFacts {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// What one decision is about.
#[derive(Clone, Copy)]
pub(in crate::decide) struct Facts<'a> {
    pub(in crate::decide) command: &'a Command,
    pub(in crate::decide) subject: &'a Subject,
    pub(in crate::decide) connection: &'a ConnectionFacts,
    pub(in crate::decide) risk: u8,
    pub(in crate::decide) beyond: Beyond,
}

/// Which relations, columns, functions, and settings a command touches beside those that are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decide) enum Beyond {
    /// None.
    Nothing,
    /// One that no rule names.
    Strangers,
    /// Also those that the rule itself names.
    Named,
}

/// Relations, columns, and functions that no rule names, in as many parts as a name has.
const STRANGE_RELATION: &str = "*.*";
const STRANGE_COLUMN: &str = "*.*.*";
const STRANGE_FUNCTION: &str = "*";

/// The fields that an expression reads. Only they are made: making all of them costs more than most expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) command: Vec<&'static str>,
    pub(super) identity: Vec<&'static str>,
    pub(super) connection: Vec<&'static str>,
    pub(super) session: Vec<&'static str>,
    /// The zones in which the time is asked.
    pub(super) zones: Vec<String>,
    /// The texts that stand in it: names that it looks for are among them, whole or as they begin or end.
    pub(super) texts: Vec<String>,
    /// Whether it asks more of names than the texts that stand in it can answer.
    pub(super) patterns: bool,
    /// Whether it says in so many words that something may be hidden.
    pub(super) hidden: bool,
}

// === impl Needs ===

impl Needs {
    /// Adds a field, or all where a variable stands by itself.
    pub(super) fn add(&mut self, variable: &str, field: Option<&str>) {
        let (list, known): (&mut Vec<&'static str>, &[&'static str]) = match variable {
            "command" => (&mut self.command, &COMMAND),
            "identity" => (&mut self.identity, &IDENTITY),
            "connection" => (&mut self.connection, &CONNECTION),
            "session" => (&mut self.session, &SESSION),
            _ => return,
        };
        for name in known.iter().filter(|name| field.is_none_or(|field| field == **name)) {
            if !list.contains(name) {
                list.push(name);
            }
        }
        self.hidden |= variable == "command" && matches!(field, Some("opaque" | "hidden"));
    }

    /// Whether its answer may hang on a name that does not stand in it: no list of names can try that out.
    pub(super) fn seeks_names(&self) -> bool {
        self.patterns && self.command.iter().any(|field| NAMES.contains(field))
    }
}

// === impl Facts ===

impl Facts<'_> {
    /// Makes the variables that are needed.
    pub(super) fn add_to(self, context: &mut Context<'_>, needs: &Needs) {
        let all: [(&str, &[&'static str], &dyn Fn(&str) -> Value); 4] = [
            ("command", &needs.command, &|field| {
                self.command_field(field, needs).into()
            }),
            ("identity", &needs.identity, &|field| self.identity_field(field).into()),
            ("connection", &needs.connection, &|field| {
                self.connection_field(field).into()
            }),
            ("session", &needs.session, &|field| {
                self.session_field(field, needs).into()
            }),
        ];
        for (variable, fields, make) in all {
            if !fields.is_empty() {
                // What needs them fails then, and what comes to its answer without them does not.
                let unread = |field: &str| field == "parameters" && unread(self.command).is_some();
                let there = fields.iter().filter(|field| !unread(field));
                let map: HashMap<String, Value> = there.map(|field| ((*field).to_owned(), make(field))).collect();
                context.add_variable_from_value(variable, map);
            }
        }
    }

    /// Writes the fields that are needed down, so that no two sets of facts look alike.
    pub(super) fn write_down(&self, needs: &Needs, out: &mut Vec<u8>) {
        let command = needs.command.iter().map(|field| self.command_field(field, needs));
        let identity = needs.identity.iter().map(|field| self.identity_field(field));
        let connection = needs.connection.iter().map(|field| self.connection_field(field));
        let session = needs.session.iter().map(|field| self.session_field(field, needs));
        command
            .chain(identity)
            .chain(connection)
            .chain(session)
            .for_each(|fact| fact.write_down(out));
    }

    fn command_field<'f>(&'f self, field: &str, needs: &'f Needs) -> Fact<'f> {
        let command = self.command;
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        if field == "verb" {
            return Fact::Text(gravest(command.verbs).map_or("", Verb::name));
        }
        match meant(field) {
            "protocol" => Fact::Text(command.protocol),
            "text" => Fact::Text(&command.text),
            "database" => Fact::Text(&command.database),
            "verbs" => Fact::Texts(command.verbs.iter().map(Verb::name).collect()),
            "tables" => self.names(&command.tables, STRANGE_RELATION, needs),
            // Samples of tables are read, whichever these are.
            "written" if command.read_only && command.beyond == Some(SAMPLED) => list(&command.written),
            "written" => self.names(&command.written, STRANGE_RELATION, needs),
            "columns" => self.names(&command.columns, STRANGE_COLUMN, needs),
            "functions" => self.names(&command.functions, STRANGE_FUNCTION, needs),
            "settings" => self.names(&command.settings, ANY_SETTING, needs),
            "has_where" => Fact::Flag(command.has_where),
            "read_only" => Fact::Flag(command.read_only),
            "opaque" => Fact::Flag(!command.opaque.is_empty()),
            "hidden" => Fact::Texts(command.hidden()),
            "protected" => Fact::Flag(command.protected),
            "in_transaction" => Fact::Flag(command.in_transaction),
            "params_count" => Fact::Number(number(command.parameters)),
            "parameters" => Fact::Parameters(&command.values),
            "rows" => Fact::Number(command.rows.map_or(-1, |rows| i64::try_from(rows).unwrap_or(i64::MAX))),
            "risk" => Fact::Number(self.risk.into()),
            _ => Fact::Nothing,
        }
    }

    fn names<'f>(&self, seen: &'f [String], stranger: &'static str, needs: &'f Needs) -> Fact<'f> {
        let mut names: Vec<&str> = seen.iter().map(String::as_str).collect();
        if self.beyond != Beyond::Nothing {
            names.push(stranger);
        }
        if self.beyond == Beyond::Named {
            names.extend(needs.texts.iter().map(String::as_str));
        }
        Fact::Texts(names)
    }

    fn identity_field(&self, field: &str) -> Fact<'_> {
        let subject = self.subject;
        match field {
            "user" => Fact::Text(&subject.username),
            "groups" => list(&subject.groups),
            "agents" => Fact::Texts(subject.agents.iter().map(|agent| agent.username.as_str()).collect()),
            "issuer" => Fact::Text(&subject.issuer),
            "email" => Fact::Text(subject.email.as_deref().unwrap_or_default()),
            _ => Fact::Nothing,
        }
    }

    fn connection_field(&self, field: &str) -> Fact<'_> {
        match field {
            "name" => Fact::Text(&self.connection.name),
            "namespace" => Fact::Text(&self.connection.namespace),
            "labels" => Fact::Labels(&self.connection.labels),
            _ => Fact::Nothing,
        }
    }

    fn session_field<'f>(&'f self, field: &str, needs: &'f Needs) -> Fact<'f> {
        if field == "source" {
            return Fact::Text(self.subject.source.as_deref().unwrap_or_default());
        }
        let at = self.command.at;
        let each = needs.zones.iter().map(String::as_str);
        Fact::Zoned(
            each.filter_map(|zone| Some((zone, zone::said(field, at, zone)?)))
                .collect(),
        )
    }
}

fn list(items: &[String]) -> Fact<'_> {
    Fact::Texts(items.iter().map(String::as_str).collect())
}

/// Why what reads parameters cannot be answered, if it cannot.
pub(super) fn unread(command: &Command) -> Option<&'static str> {
    if command.values.len() != command.parameters {
        return Some("the values of its parameters are not known here");
    }
    let unreadable = command.values.contains(&Parameter::Unreadable);
    unreadable.then_some("a parameter cannot be read: send it as text, or state a plain type for it")
}

/// Commands of several kinds, to try an expression on.
pub(super) fn samples() -> [Command; 4] {
    let kinds: [(&[Verb], &[&str], &str, bool); 4] = [
        (
            &[Verb::Select],
            &["public.customers"],
            "select name from customers where id = 1",
            true,
        ),
        (
            &[Verb::Delete],
            &["public.orders", "public.items"],
            "delete from orders",
            false,
        ),
        (&[Verb::Set], &[], "set statement_timeout = 0", false),
        (&[], &[], "", false),
    ];
    let bound = |verbs: &[Verb]| match verbs {
        [Verb::Delete] => vec![Parameter::Text("7".to_owned()), Parameter::Null],
        _ => Vec::new(),
    };
    kinds.map(|(verbs, tables, text, has_where)| Command {
        protocol: "postgresql",
        text: text.into(),
        verbs: verbs.iter().copied().collect::<Verbs>(),
        tables: tables.iter().map(|table| (*table).to_owned()).collect(),
        has_where,
        parameters: bound(verbs).len(),
        values: bound(verbs),
        ..Command::default()
    })
}
