//! What expressions see: `command`, `identity`, `connection`.
//!
//! | name | type | meaning |
//! |---|---|---|
//! | `command.protocol` | string | `postgresql` |
//! | `command.text` | string | the exact text |
//! | `command.database` | string | the database |
//! | `command.verbs` | list of strings | what it does, at any depth: `select`, `delete`, `copy_to`, … |
//! | `command.tables` | list of strings | relations it touches, as `schema.table`, closed over views and partitions |
//! | `command.written` | list of strings | those of them that it writes or changes |
//! | `command.columns` | list of strings | columns it names, as `schema.table.column` |
//! | `command.functions` | list of strings | functions it calls, as written |
//! | `command.settings` | list of strings | settings it changes; `*` for one that cannot be seen |
//! | `command.has_where` | bool | every change in it chooses rows; without changes: the query does |
//! | `command.read_only` | bool | nothing in its tree writes, locks rows or hides |
//! | `command.opaque` | bool | something in it cannot be seen into |
//! | `command.protected` | bool | a protected column stands in it |
//! | `command.in_transaction` | bool | a transaction is open |
//! | `command.params_count` | int | how many parameters are bound |
//! | `command.rows` | int | rows that the target's statistics expect; -1 if unknown |
//! | `command.risk` | int | the documented score, 0 to 100 |
//! | `identity.user` | string | user name, as `oidc:alice` |
//! | `identity.groups` | list of strings | groups, as `oidc:engineers` |
//! | `identity.agents` | list of strings | user names of the agents that act for the person, nearest first |
//! | `identity.issuer` | string | URL of the issuer |
//! | `identity.email` | string | verified address; empty if there is none |
//! | `connection.name`, `connection.namespace` | string | the Connection |
//! | `connection.labels` | map of strings | its labels; ask with `'key' in connection.labels` first |

use std::collections::{BTreeMap, HashMap};

use kube_cel::cel::{Context, Value};

use crate::sql::{Verb, Verbs};
use crate::subject::Subject;

use super::super::{Command, risk};

/// Fields of `command`.
pub(super) const COMMAND: [&str; 17] = [
    "protocol",
    "text",
    "database",
    "verbs",
    "tables",
    "written",
    "columns",
    "functions",
    "settings",
    "has_where",
    "read_only",
    "opaque",
    "protected",
    "in_transaction",
    "params_count",
    "rows",
    "risk",
];
/// Fields of `identity`.
pub(super) const IDENTITY: [&str; 5] = ["user", "groups", "agents", "issuer", "email"];
/// Fields of `connection`.
pub(super) const CONNECTION: [&str; 3] = ["name", "namespace", "labels"];

/// What is known of the Connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionFacts {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// The three variables, made once for one decision.
pub(in crate::decide) struct Values {
    command: Value,
    identity: Value,
    connection: Value,
}

// === impl Values ===

impl Values {
    pub(in crate::decide) fn new(command: &Command, subject: &Subject, connection: &ConnectionFacts) -> Self {
        Self {
            command: command_value(command),
            identity: identity_value(subject),
            connection: connection_value(connection),
        }
    }

    /// Commands of several kinds, to try an expression on.
    pub(super) fn samples() -> impl Iterator<Item = Values> {
        let kinds = [
            (
                vec![Verb::Select],
                vec!["public.customers"],
                "select name from customers where id = 1",
                true,
            ),
            (
                vec![Verb::Delete],
                vec!["public.orders", "public.items"],
                "delete from orders",
                false,
            ),
            (vec![Verb::Set], vec![], "set statement_timeout = 0", false),
            (vec![], vec![], "", false),
        ];
        let subject = Subject {
            username: "oidc:alice".to_owned(),
            groups: vec!["oidc:engineers".to_owned()],
            ..Subject::default()
        };
        let connection = ConnectionFacts {
            name: "bank".to_owned(),
            namespace: "doors".to_owned(),
            labels: BTreeMap::new(),
        };
        kinds.into_iter().map(move |(verbs, tables, text, has_where)| {
            let command = Command {
                protocol: "postgresql",
                text: text.into(),
                verbs: verbs.into_iter().collect::<Verbs>(),
                tables: tables.into_iter().map(str::to_owned).collect(),
                has_where,
                ..Command::default()
            };
            Values::new(&command, &subject, &connection)
        })
    }

    pub(super) fn add_to(&self, context: &mut Context<'_>) {
        context.add_variable_from_value("command", self.command.clone());
        context.add_variable_from_value("identity", self.identity.clone());
        context.add_variable_from_value("connection", self.connection.clone());
    }
}

fn command_value(command: &Command) -> Value {
    let verbs: Vec<&str> = command.verbs.iter().map(Verb::name).collect();
    let count = |number: usize| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let rows = command.rows.map_or(-1, |rows| i64::try_from(rows).unwrap_or(i64::MAX));
    map([
        ("protocol", command.protocol.into()),
        ("text", (*command.text).into()),
        ("database", command.database.as_str().into()),
        ("verbs", verbs.into()),
        ("tables", list(&command.tables)),
        ("written", list(&command.written)),
        ("columns", list(&command.columns)),
        ("functions", list(&command.functions)),
        ("settings", list(&command.settings)),
        ("has_where", Value::Bool(command.has_where)),
        ("read_only", Value::Bool(command.read_only)),
        ("opaque", Value::Bool(!command.opaque.is_empty())),
        ("protected", Value::Bool(command.protected)),
        ("in_transaction", Value::Bool(command.in_transaction)),
        ("params_count", count(command.parameters)),
        ("rows", Value::Int(rows)),
        ("risk", Value::Int(risk(command).into())),
    ])
}

fn identity_value(subject: &Subject) -> Value {
    let agents: Vec<&str> = subject.agents.iter().map(|agent| agent.username.as_str()).collect();
    map([
        ("user", subject.username.as_str().into()),
        ("groups", list(&subject.groups)),
        ("agents", agents.into()),
        ("issuer", subject.issuer.as_str().into()),
        ("email", subject.email.as_deref().unwrap_or_default().into()),
    ])
}

fn connection_value(connection: &ConnectionFacts) -> Value {
    let labels: HashMap<String, Value> = connection
        .labels
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().into()))
        .collect();
    map([
        ("name", connection.name.as_str().into()),
        ("namespace", connection.namespace.as_str().into()),
        ("labels", labels.into()),
    ])
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<HashMap<String, Value>>()
        .into()
}

fn list(items: &[String]) -> Value {
    items.iter().map(String::as_str).collect::<Vec<&str>>().into()
}
