//! What a statement does, as a closed set of verbs.

use std::fmt;

/// Generates the enum, its list and its names from one table.
macro_rules! verbs {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One thing that a statement does. Rules see the lower-case names ([`Verb::name`]).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Verb {
            $($(#[$doc])* $variant,)*
        }

        impl Verb {
            /// All verbs, in the order of declaration.
            pub const ALL: &'static [Verb] = &[$(Verb::$variant,)*];

            /// The name that rules, records and metrics use.
            pub const fn name(self) -> &'static str {
                match self { $(Verb::$variant => $name,)* }
            }
        }
    };
}

verbs! {
    /// Reads rows (`SELECT`, `VALUES`, `TABLE`), also inside another statement.
    Select = "select",
    /// Adds rows.
    Insert = "insert",
    /// Changes rows, `ON CONFLICT DO UPDATE` included.
    Update = "update",
    /// Removes rows.
    Delete = "delete",
    /// `MERGE`; its actions count as their own verbs too.
    Merge = "merge",
    /// Empties tables.
    Truncate = "truncate",
    /// Makes an object, `SELECT INTO` and `CREATE TABLE AS` included.
    Create = "create",
    /// Changes an object.
    Alter = "alter",
    /// Removes an object.
    Drop = "drop",
    /// Gives rights.
    Grant = "grant",
    /// Takes rights away.
    Revoke = "revoke",
    /// `COPY … FROM`.
    CopyFrom = "copy_from",
    /// `COPY … TO`.
    CopyTo = "copy_to",
    /// Calls a procedure.
    Call = "call",
    /// Runs an anonymous code block.
    Do = "do",
    /// Runs a statement prepared by SQL.
    Execute = "execute",
    /// Prepares a statement by SQL.
    Prepare = "prepare",
    /// Forgets a prepared statement.
    Deallocate = "deallocate",
    /// Declares a cursor.
    Declare = "declare",
    /// Reads or moves a cursor.
    Fetch = "fetch",
    /// Closes a cursor.
    Close = "close",
    /// Changes a setting of the session, `set_config` included.
    Set = "set",
    /// Shows a setting.
    Show = "show",
    /// Puts a setting back.
    Reset = "reset",
    /// Starts a transaction.
    Begin = "begin",
    /// Commits, also a prepared transaction.
    Commit = "commit",
    /// Rolls back, also to a savepoint, also a prepared transaction.
    Rollback = "rollback",
    /// Sets or releases a savepoint.
    Savepoint = "savepoint",
    /// `PREPARE TRANSACTION`.
    PrepareTransaction = "prepare_transaction",
    /// Locks tables.
    Lock = "lock",
    /// Listens on a channel.
    Listen = "listen",
    /// Notifies a channel, `pg_notify` included.
    Notify = "notify",
    /// Stops listening.
    Unlisten = "unlisten",
    /// Vacuums.
    Vacuum = "vacuum",
    /// Collects statistics.
    Analyze = "analyze",
    /// Shows a plan; with ANALYZE the statement runs.
    Explain = "explain",
    /// Refreshes a materialised view.
    Refresh = "refresh",
    /// Comments on an object.
    Comment = "comment",
    /// Labels an object.
    SecurityLabel = "security_label",
    /// Rebuilds indexes.
    Reindex = "reindex",
    /// Rewrites a table in the order of an index.
    Cluster = "cluster",
    /// Throws session state away.
    Discard = "discard",
    /// Imports a foreign schema.
    Import = "import",
    /// Gives away what roles own.
    Reassign = "reassign",
    /// Loads a library into the server.
    Load = "load",
    /// `ALTER SYSTEM`.
    AlterSystem = "alter_system",
    /// Forces a checkpoint.
    Checkpoint = "checkpoint",
    /// `SET CONSTRAINTS`.
    Constraints = "constraints",
    /// The fast-path FunctionCall message, which has no text.
    FunctionCall = "function_call",
    /// A statement that this version knows no better word for.
    Utility = "utility",
}

/// What event triggers fire on.
const FIRING: [Verb; 11] = [
    Verb::Create,
    Verb::Alter,
    Verb::Drop,
    Verb::Grant,
    Verb::Revoke,
    Verb::Refresh,
    Verb::Comment,
    Verb::SecurityLabel,
    Verb::Reindex,
    Verb::Import,
    Verb::Reassign,
];

/// A set of [`Verb`]s.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Verbs(u64);

// === impl Verb ===

impl Verb {
    /// The verb of a grammar structure; `None` if it is no statement of its own. GRANT, COPY, SET and transactions
    /// need a look at their fields and are told apart by the caller.
    pub(super) fn of_kind(kind: &str) -> Option<Verb> {
        Some(match kind {
            "SelectStmt" => Verb::Select,
            "InsertStmt" => Verb::Insert,
            "UpdateStmt" => Verb::Update,
            "DeleteStmt" => Verb::Delete,
            "MergeStmt" => Verb::Merge,
            "TruncateStmt" => Verb::Truncate,
            "CallStmt" => Verb::Call,
            "DoStmt" => Verb::Do,
            "ExecuteStmt" => Verb::Execute,
            "PrepareStmt" => Verb::Prepare,
            "DeallocateStmt" => Verb::Deallocate,
            "DeclareCursorStmt" => Verb::Declare,
            "FetchStmt" => Verb::Fetch,
            "ClosePortalStmt" => Verb::Close,
            "VariableShowStmt" => Verb::Show,
            "LockStmt" => Verb::Lock,
            "ListenStmt" => Verb::Listen,
            "NotifyStmt" => Verb::Notify,
            "UnlistenStmt" => Verb::Unlisten,
            "ExplainStmt" => Verb::Explain,
            "RefreshMatViewStmt" => Verb::Refresh,
            "CommentStmt" => Verb::Comment,
            "SecLabelStmt" => Verb::SecurityLabel,
            "ReindexStmt" => Verb::Reindex,
            "ClusterStmt" => Verb::Cluster,
            "DiscardStmt" => Verb::Discard,
            "ImportForeignSchemaStmt" => Verb::Import,
            "ReassignOwnedStmt" => Verb::Reassign,
            "LoadStmt" => Verb::Load,
            "AlterSystemStmt" => Verb::AlterSystem,
            "CheckPointStmt" => Verb::Checkpoint,
            "ConstraintsSetStmt" => Verb::Constraints,
            // Parts of a plain or compound body that are statements by name only.
            "ReturnStmt" | "PlAssignStmt" | "RawStmt" | "SetOperationStmt" => return None,
            "IntoClause" | "RuleStmt" | "ViewStmt" | "IndexStmt" | "DefineStmt" | "CompositeTypeStmt" => Verb::Create,
            "RenameStmt" | "ReplicaIdentityStmt" => Verb::Alter,
            // Told apart by their fields, in the walk.
            "GrantStmt" | "GrantRoleStmt" | "CopyStmt" | "VacuumStmt" | "TransactionStmt" | "VariableSetStmt" => {
                return None;
            }
            _ if !kind.ends_with("Stmt") => return None,
            _ if kind.starts_with("Create") => Verb::Create,
            _ if kind.starts_with("Alter") => Verb::Alter,
            _ if kind.starts_with("Drop") => Verb::Drop,
            _ => Verb::Utility,
        })
    }

    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Verbs ===

impl Verbs {
    /// The set of one verb.
    pub const fn one(verb: Verb) -> Self {
        Self(verb.bit())
    }

    /// Adds a verb.
    pub fn insert(&mut self, verb: Verb) {
        self.0 |= verb.bit();
    }

    /// Adds all verbs of another set.
    pub fn extend(&mut self, other: Verbs) {
        self.0 |= other.0;
    }

    /// Whether a verb is in the set.
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & verb.bit() != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every verb of this set is among `allowed`.
    pub fn within(self, allowed: &[Verb]) -> bool {
        self.iter().all(|verb| allowed.contains(&verb))
    }

    /// Whether any verb of this set is among `those`.
    pub fn any(self, those: &[Verb]) -> bool {
        those.iter().any(|verb| self.contains(*verb))
    }

    /// Whether event triggers may fire.
    pub fn fire(self) -> bool {
        self.any(&FIRING)
    }

    /// The verbs in order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Verb> {
        Verb::ALL.iter().copied().filter(move |verb| self.contains(*verb))
    }
}

impl FromIterator<Verb> for Verbs {
    fn from_iter<I: IntoIterator<Item = Verb>>(verbs: I) -> Self {
        let mut set = Self::default();
        for verb in verbs {
            set.insert(verb);
        }
        set
    }
}

impl fmt::Debug for Verbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Verb::name)).finish()
    }
}

const _: () = assert!(Verb::ALL.len() <= 64, "Verbs holds 64 bits");
