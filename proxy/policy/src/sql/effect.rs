//! What a statement does to the session, which the door must follow.

use super::tree::Node;

/// What a statement itself (not one inside it) does to the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that the door has to follow.
    #[default]
    None,
    /// Transaction control.
    Transaction(Transaction),
    /// `PREPARE name AS …`: remember what the name means.
    Prepare {
        /// Name of the prepared statement.
        name: String,
    },
    /// `EXECUTE name`: judged as the statement it names.
    Execute {
        /// Name of the prepared statement.
        name: String,
    },
    /// `DEALLOCATE`; `None` is all.
    Deallocate {
        /// Name of the prepared statement.
        name: Option<String>,
    },
    /// `DECLARE name CURSOR FOR …`: remember the query's lineage.
    Declare {
        /// Name of the cursor.
        name: String,
        /// Whether it outlives the transaction.
        hold: bool,
        /// Whether its rows come in binary format.
        binary: bool,
    },
    /// `FETCH` (or `MOVE`, which returns no rows).
    Fetch {
        /// Name of the cursor.
        name: String,
        /// `MOVE`.
        moves: bool,
    },
    /// `CLOSE`; `None` is all.
    Close {
        /// Name of the cursor.
        name: Option<String>,
    },
    /// `COPY` to or from the client. (Files and programs are always denied.)
    Copy {
        /// Which way rows go.
        direction: CopyDirection,
        /// How they are written.
        format: CopyFormat,
    },
    /// `LISTEN`: notifications of this channel come from now on.
    Listen {
        /// Name of the channel, as PostgreSQL cuts it.
        channel: String,
    },
    /// `DISCARD ALL`, which forgets everything, or a lesser one.
    Discard {
        /// `DISCARD ALL`.
        all: bool,
    },
}

/// Transaction control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`; `chain` starts the next at once.
    Commit {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// `ROLLBACK`, `ABORT`.
    Rollback {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// `SAVEPOINT`.
    Savepoint(String),
    /// `RELEASE`.
    Release(String),
    /// `ROLLBACK TO`.
    RollbackTo(String),
    /// `PREPARE TRANSACTION`: the work leaves this session.
    Prepare,
    /// `COMMIT PREPARED`.
    CommitPrepared,
    /// `ROLLBACK PREPARED`.
    RollbackPrepared,
}

/// Which way COPY goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// From the client into a table.
    In,
    /// From a table or query to the client.
    Out,
}

/// The options of COPY that change its bytes. What is not given is `None`: PostgreSQL's default for the format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyFormat {
    /// `text`, `csv` or `binary`, in lower case.
    pub format: String,
    /// `DELIMITER`.
    pub delimiter: Option<String>,
    /// `QUOTE`.
    pub quote: Option<String>,
    /// `ESCAPE`.
    pub escape: Option<String>,
    /// `NULL`.
    pub null: Option<String>,
    /// `ENCODING`: another than the session's.
    pub encoding: Option<String>,
    /// `HEADER` in any form but `false`.
    pub header: bool,
    /// Whether an option stands there that this version does not know, or one whose value is no literal.
    pub unknown: bool,
}

/// A change of a setting, by SET, RESET or set_config, anywhere in the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name in lower case; `None` if it is no literal, or all settings (`RESET ALL`).
    pub name: Option<String>,
    /// The value, if it is a list of literals; `None` for the default and for what cannot be seen.
    pub value: Option<String>,
    /// Whether the value is computed or bound, and so cannot be seen.
    pub computed: bool,
    /// Whether it ends with the transaction.
    pub local: bool,
}

const CURSOR_BINARY: i64 = 0x1;
const CURSOR_HOLD: i64 = 0x20;
const DISCARD_ALL: i64 = 1;
/// How the grammar calls what SET SESSION CHARACTERISTICS AS TRANSACTION sets.
const SESSION: &str = "SESSION CHARACTERISTICS";

/// The effect of a statement's own node.
pub(super) fn of(node: Node<'_>) -> Effect {
    let named = |field: &str| Some(node.text(field).to_owned()).filter(|name| !name.is_empty());
    match node.kind() {
        "TransactionStmt" => transaction(node).map_or(Effect::None, Effect::Transaction),
        "PrepareStmt" => Effect::Prepare {
            name: node.text("name").to_owned(),
        },
        "ExecuteStmt" => Effect::Execute {
            name: node.text("name").to_owned(),
        },
        "DeallocateStmt" => Effect::Deallocate { name: named("name") },
        "DeclareCursorStmt" => Effect::Declare {
            name: node.text("portalname").to_owned(),
            hold: node.int("options") & CURSOR_HOLD != 0,
            binary: node.int("options") & CURSOR_BINARY != 0,
        },
        "FetchStmt" => Effect::Fetch {
            name: node.text("portalname").to_owned(),
            moves: node.flag("ismove"),
        },
        "ClosePortalStmt" => Effect::Close {
            name: named("portalname"),
        },
        "CopyStmt" => Effect::Copy {
            direction: if node.flag("is_from") {
                CopyDirection::In
            } else {
                CopyDirection::Out
            },
            format: copy_format(node),
        },
        "ListenStmt" => Effect::Listen {
            channel: node.text("conditionname").to_owned(),
        },
        "DiscardStmt" => Effect::Discard {
            all: node.int("target") == DISCARD_ALL,
        },
        _ => Effect::None,
    }
}

fn transaction(node: Node<'_>) -> Option<Transaction> {
    let chain = node.flag("chain");
    let name = || node.text("savepoint_name").to_owned();
    Some(match node.int("kind") {
        1 | 2 => Transaction::Begin,
        3 => Transaction::Commit { chain },
        4 => Transaction::Rollback { chain },
        5 => Transaction::Savepoint(name()),
        6 => Transaction::Release(name()),
        7 => Transaction::RollbackTo(name()),
        8 => Transaction::Prepare,
        9 => Transaction::CommitPrepared,
        10 => Transaction::RollbackPrepared,
        _ => return None,
    })
}

fn copy_format(node: Node<'_>) -> CopyFormat {
    let mut found = CopyFormat {
        format: "text".to_owned(),
        ..CopyFormat::default()
    };
    for option in node.list("options") {
        let value = option.node("arg").and_then(Node::literal).map(str::to_owned);
        match option.text("defname") {
            "format" => match value {
                Some(format) => found.format = format.to_ascii_lowercase(),
                None => found.unknown = true,
            },
            "delimiter" => found.delimiter = value,
            "quote" => found.quote = value,
            "escape" => found.escape = value,
            "null" => found.null = value,
            "encoding" => found.encoding = value,
            "header" => found.header = is_on(option),
            // These say how values are read or which are quoted, which a reader of the format sees by itself.
            "freeze" | "force_quote" | "force_not_null" | "force_null" | "default" | "on_error" | "log_verbosity"
            | "reject_limit" => {}
            _ => found.unknown = true,
        }
    }
    found
}

/// Whether an option that takes a boolean is on, as PostgreSQL's `defGetBoolean` reads it; any other word counts as on.
pub(super) fn is_on(option: Node<'_>) -> bool {
    let Some(arg) = option.node("arg") else { return true };
    match arg.kind() {
        "Integer" => arg.int("ival") != 0,
        "Boolean" => arg.flag("boolval"),
        _ => !arg
            .literal()
            .is_some_and(|word| ["false", "off", "no", "0"].contains(&word.to_ascii_lowercase().as_str())),
    }
}

/// Whether an EXPLAIN runs what it explains: of several options PostgreSQL goes by the last.
pub(super) fn runs_explained(explain: Node<'_>) -> bool {
    let analyze = explain
        .list("options")
        .filter(|option| option.text("defname") == "analyze");
    analyze.last().is_some_and(is_on)
}

/// The setting that a SET or RESET changes.
pub(super) fn setting(node: Node<'_>) -> Setting {
    let name = Some(node.text("name").to_ascii_lowercase()).filter(|name| !name.is_empty());
    let values: Option<Vec<String>> = node.list("args").map(constant).collect();
    let computed = values.is_none();
    let value = values
        .filter(|values| !values.is_empty())
        .map(|values| values.join(", "));
    Setting {
        name,
        value,
        computed,
        local: node.flag("is_local"),
    }
}

/// The settings that BEGIN, SET TRANSACTION and SET SESSION CHARACTERISTICS change in other words: `READ WRITE` is a value of
/// `transaction_read_only`, or of the default of transactions to come.
pub(super) fn modes(node: Node<'_>) -> impl Iterator<Item = Setting> {
    let lasting = node.text("name") == SESSION;
    let modes = node.list("args").chain(node.list("options"));
    let names = modes.map(|mode| mode.text("defname")).filter(|name| !name.is_empty());
    names.map(move |name| Setting {
        name: Some(if lasting {
            format!("default_{name}")
        } else {
            name.to_owned()
        }),
        value: None,
        computed: false,
        local: !lasting,
    })
}

fn constant(node: Node<'_>) -> Option<String> {
    if let Some(text) = node.literal() {
        return Some(text.to_owned());
    }
    let value = node.node("val")?;
    match value.kind() {
        "Integer" => Some(value.int("ival").to_string()),
        "Float" => Some(value.text("fval").to_owned()),
        "Boolean" => Some(value.flag("boolval").to_string()),
        _ => None,
    }
}
