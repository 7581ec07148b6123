//! What is refused whatever the rules say, unless the Connection opens it.
//!
//! Everybody behind a door shares one role at the target, so each of these would be everybody's problem: a changed
//! password is a road around the door, a file of the server is a copy without a mask.

use sallyport_crds::connection::AlwaysDenied;

use super::tree::Node;

/// One reason to refuse a statement whatever the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The class, by whose name a Connection can open it (`postgresql.open`).
    pub class: AlwaysDenied,
    /// What in the statement it is, such as `ALTER ROLE` or `function pg_read_file`.
    pub what: String,
    /// The role that a SET ROLE names in so many words: to set the door's own changes nothing.
    pub role: Option<String>,
}

/// Languages whose bodies can be read, and so searched for what is refused here. `c` and `internal` are code of the server
/// itself; what a body in any other language hands to the database is not known.
const READABLE_LANGUAGES: [&str; 2] = ["sql", "plpgsql"];

/// Extensions that give nobody more than the database's own rules allow: PostgreSQL's control files call them trusted.
const TRUSTED_EXTENSIONS: [&str; 19] = [
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dict_int",
    "fuzzystrmatch",
    "hstore",
    "intarray",
    "isn",
    "ltree",
    "pg_trgm",
    "pgcrypto",
    "plpgsql",
    "seg",
    "tablefunc",
    "tcn",
    "unaccent",
    "uuid-ossp",
    "vector",
];

/// Foreign data wrappers that read files or run programs of the server.
const FILE_WRAPPERS: [&str; 1] = ["file_fdw"];

/// Options of a foreign table that name a file or a program.
const FILE_OPTIONS: [&str; 2] = ["filename", "program"];

/// PostgreSQL's own views of what stands in files of the server.
const FILE_VIEWS: [&str; 3] = ["pg_file_settings", "pg_hba_file_rules", "pg_ident_file_mappings"];

/// Settings that have later sessions load libraries: those of everybody, where ALTER DATABASE keeps them.
const PRELOADS: [&str; 3] = [
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_preload_libraries",
];

const OBJECT_LANGUAGE: i64 = 22;
const OBJECT_ROLE: i64 = 34;
const OBJECT_TABLESPACE: i64 = 43;
const VALUE: i64 = 1;

/// Functions by exact name.
const FUNCTIONS: [(&str, AlwaysDenied); 31] = [
    ("loread", AlwaysDenied::ServerFileFunctions),
    ("lowrite", AlwaysDenied::ServerFileFunctions),
    ("pg_stat_file", AlwaysDenied::ServerFileFunctions),
    ("pg_read_file", AlwaysDenied::ServerFileFunctions),
    ("pg_read_file_old", AlwaysDenied::ServerFileFunctions),
    ("pg_read_binary_file", AlwaysDenied::ServerFileFunctions),
    ("pg_hba_file_rules", AlwaysDenied::ServerFileFunctions),
    ("pg_ident_file_mappings", AlwaysDenied::ServerFileFunctions),
    ("pg_show_all_file_settings", AlwaysDenied::ServerFileFunctions),
    ("pg_cancel_backend", AlwaysDenied::SignalBackends),
    ("pg_terminate_backend", AlwaysDenied::SignalBackends),
    ("pg_reload_conf", AlwaysDenied::SignalBackends),
    ("pg_rotate_logfile", AlwaysDenied::SignalBackends),
    ("pg_rotate_logfile_old", AlwaysDenied::SignalBackends),
    ("pg_logfile_rotate", AlwaysDenied::SignalBackends),
    ("pg_log_backend_memory_contexts", AlwaysDenied::SignalBackends),
    ("pg_promote", AlwaysDenied::SignalBackends),
    ("pg_wal_replay_pause", AlwaysDenied::SignalBackends),
    ("pg_wal_replay_resume", AlwaysDenied::SignalBackends),
    ("pg_switch_wal", AlwaysDenied::Replication),
    ("pg_create_restore_point", AlwaysDenied::Replication),
    ("pg_backup_start", AlwaysDenied::Replication),
    ("pg_backup_stop", AlwaysDenied::Replication),
    ("pg_create_logical_replication_slot", AlwaysDenied::Replication),
    ("pg_create_physical_replication_slot", AlwaysDenied::Replication),
    ("pg_copy_logical_replication_slot", AlwaysDenied::Replication),
    ("pg_copy_physical_replication_slot", AlwaysDenied::Replication),
    ("pg_drop_replication_slot", AlwaysDenied::Replication),
    ("pg_sync_replication_slots", AlwaysDenied::Replication),
    ("pg_log_standby_snapshot", AlwaysDenied::Replication),
    ("pg_get_wal_records_info", AlwaysDenied::Replication),
];

/// Functions by how their names begin.
const PREFIXES: [(&str, AlwaysDenied); 8] = [
    ("lo_", AlwaysDenied::ServerFileFunctions),
    ("pg_ls_", AlwaysDenied::ServerFileFunctions),
    ("pg_file_", AlwaysDenied::ServerFileFunctions),
    ("pg_logical_", AlwaysDenied::Replication),
    ("pg_replication_", AlwaysDenied::Replication),
    ("pg_get_wal_", AlwaysDenied::Replication),
    ("pg_walinspect", AlwaysDenied::Replication),
    ("binary_upgrade_", AlwaysDenied::UntrustedFunctions),
];

/// Functions of large objects for which one argument is enough. Columns may be called by other names that begin as theirs.
const LARGE_OBJECT_FIELDS: [&str; 8] = [
    "lo_close",
    "lo_creat",
    "lo_create",
    "lo_get",
    "lo_import",
    "lo_tell",
    "lo_tell64",
    "lo_unlink",
];

// === impl Denied ===

impl Denied {
    pub(super) fn new(class: AlwaysDenied, what: impl Into<String>) -> Self {
        Self {
            class,
            what: what.into(),
            role: None,
        }
    }

    /// A change to rows of PostgreSQL's own catalogs, by which everything else here could be had: passwords and settings, functions of the
    /// server under any name, and for a table the rows of another.
    pub fn of_catalog(name: &str) -> Self {
        Self::new(AlwaysDenied::AlterSystem, format!("a change to rows of {name}"))
    }

    /// The reason as the person reads it.
    pub fn reason(&self) -> String {
        let why = match self.class {
            AlwaysDenied::Roles => {
                "roles, and what is set for them or for a database, are shared by everybody behind this door"
            }
            AlwaysDenied::SessionAuthorization => "the role at the target is the door's own",
            AlwaysDenied::AlterSystem => "what the whole server goes by is out of reach through this door",
            AlwaysDenied::Load => "libraries cannot be loaded into the server through this door",
            AlwaysDenied::ServerFiles => "files and programs of the server are out of reach through this door",
            AlwaysDenied::ServerFileFunctions => {
                "files and large objects of the server are out of reach through this door (pg_dump -B leaves large objects out)"
            }
            AlwaysDenied::SignalBackends => {
                "other sessions and the server itself cannot be signalled through this door"
            }
            AlwaysDenied::Replication => "replication and logical decoding would carry rows past the mask",
            AlwaysDenied::UntrustedFunctions => "code that the door cannot read runs outside the database's rules",
        };
        format!("{} is always refused here: {why}", self.what)
    }
}

/// What is always refused about one node, its children left aside. `setting`: what a call of `set_config` changes, where
/// that can be read.
pub(super) fn of(node: Node<'_>, setting: Option<&str>) -> Option<Denied> {
    use AlwaysDenied as Class;
    Some(match node.kind() {
        "CreateRoleStmt" => Denied::new(Class::Roles, "CREATE ROLE"),
        "AlterRoleStmt" | "AlterRoleSetStmt" => Denied::new(Class::Roles, "ALTER ROLE"),
        // Later sessions of everybody go by it, in how they look up names and read texts, too.
        "AlterDatabaseSetStmt" => Denied::new(Class::Roles, "ALTER DATABASE with a setting"),
        "DropRoleStmt" => Denied::new(Class::Roles, "DROP ROLE"),
        "GrantRoleStmt" => Denied::new(Class::Roles, "GRANT or REVOKE of a role"),
        "RenameStmt" if node.int("rename_type") == OBJECT_ROLE => Denied::new(Class::Roles, "ALTER ROLE"),
        "VariableSetStmt" if node.int("kind") == VALUE && preloads(node.text("name")) => {
            Denied::new(Class::Load, format!("a value for {}", node.text("name")))
        }
        "VariableSetStmt" => {
            let denied = role_setting(node.text("name"), node.int("kind") == VALUE && !is_none(node))?;
            Denied {
                role: named_role(node),
                ..denied
            }
        }
        "AlterSystemStmt" => Denied::new(Class::AlterSystem, "ALTER SYSTEM"),
        "LoadStmt" => Denied::new(Class::Load, "LOAD"),
        "CopyStmt" if node.flag("is_program") => Denied::new(Class::ServerFiles, "COPY with PROGRAM"),
        "CopyStmt" if node.has("filename") => Denied::new(Class::ServerFiles, "COPY with a file of the server"),
        "CreateForeignServerStmt" if FILE_WRAPPERS.contains(&node.text("fdwname")) => {
            Denied::new(Class::ServerFiles, "CREATE SERVER on files of the server")
        }
        // A directory of the server becomes the database's own.
        "CreateTableSpaceStmt" => Denied::new(Class::ServerFiles, "CREATE TABLESPACE"),
        "AlterTableSpaceOptionsStmt" => Denied::new(Class::ServerFiles, "ALTER TABLESPACE"),
        "AlterOwnerStmt" if node.int("object_type") == OBJECT_TABLESPACE => {
            Denied::new(Class::ServerFiles, "ALTER TABLESPACE")
        }
        "RenameStmt" if node.int("rename_type") == OBJECT_TABLESPACE => {
            Denied::new(Class::ServerFiles, "ALTER TABLESPACE")
        }
        "CreateSubscriptionStmt" | "AlterSubscriptionStmt" | "DropSubscriptionStmt" => {
            Denied::new(Class::Replication, "a SUBSCRIPTION")
        }
        "CreatePublicationStmt" | "AlterPublicationStmt" => Denied::new(Class::Replication, "a PUBLICATION"),
        "CreateFunctionStmt" => return untrusted(node, "options", "CREATE FUNCTION"),
        "DoStmt" => return untrusted(node, "args", "DO"),
        "CreatePLangStmt" => Denied::new(Class::UntrustedFunctions, "CREATE LANGUAGE"),
        // A trusted language under the name of an untrusted one, or the other way round.
        "RenameStmt" if node.int("rename_type") == OBJECT_LANGUAGE => {
            Denied::new(Class::UntrustedFunctions, "ALTER LANGUAGE")
        }
        "CreateExtensionStmt" if !is_trusted_extension(node.text("extname")) => Denied::new(
            Class::UntrustedFunctions,
            format!("CREATE EXTENSION {}", node.text("extname")),
        ),
        // What belongs to an extension is taken for what that is known to be.
        "AlterExtensionContentsStmt" => Denied::new(Class::UntrustedFunctions, "ALTER EXTENSION of what belongs to it"),
        "CreateFdwStmt" | "AlterFdwStmt" => Denied::new(Class::UntrustedFunctions, "a FOREIGN DATA WRAPPER"),
        "CreateForeignTableStmt" | "AlterTableCmd" if names_file(node) => {
            Denied::new(Class::ServerFiles, "a FOREIGN TABLE on files of the server")
        }
        "RangeVar" if matches!(node.text("schemaname"), "" | "pg_catalog") => return file_view(node.text("relname")),
        // It ends the sessions that are in it.
        "DropdbStmt" if node.list("options").any(|option| option.text("defname") == "force") => {
            Denied::new(Class::SignalBackends, "DROP DATABASE with FORCE")
        }
        "FuncCall" => return function(&node.names("funcname")).or_else(|| set_config(node, setting)),
        // `(x).f` and `x.f` call f by x, where x has no field of that name.
        "AIndirection" => return node.names("indirection").into_iter().find_map(field),
        "ColumnRef" if node.count("fields") > 1 => return node.names("fields").into_iter().skip(1).find_map(field),
        // What is made of a function calls it under another name.
        "TypeName" => return function(&node.names("names")),
        "ObjectWithArgs" => return function(&node.names("objname")),
        "CreateTrigStmt" | "CreateEventTrigStmt" => return function(&node.names("funcname")),
        "CreateConversionStmt" => return function(&node.names("func_name")),
        _ => return None,
    })
}

/// What is always refused about calling a function. Schemas do not matter: a wrapper of the same name would be no better.
pub(super) fn function(name: &[&str]) -> Option<Denied> {
    let name = name.last()?;
    let exact = FUNCTIONS.iter().find(|(denied, _)| denied == name);
    let found = exact.or_else(|| PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)));
    found.map(|(_, class)| Denied::new(*class, format!("function {name}")))
}

/// What is always refused about a field, which may be a call of the function of its name.
pub(super) fn field(name: &str) -> Option<Denied> {
    let ordinary = name.starts_with("lo_") && !LARGE_OBJECT_FIELDS.contains(&name);
    function(&[name]).filter(|_| !ordinary)
}

/// What is always refused about a relation of which a body changes rows, by its name or that of its schema: none of users begins so.
pub(super) fn catalog(name: &str) -> Option<Denied> {
    let own = name.starts_with("pg_") && !name.starts_with("pg_temp");
    own.then(|| Denied::of_catalog("catalogs within a body (a table of users that is called pg_… needs its schema)"))
}

/// Whether bodies in this language can be read.
pub(super) fn is_readable_language(language: &str) -> bool {
    READABLE_LANGUAGES.contains(&language)
}

/// Whether an extension brings nothing that is refused here.
pub(super) fn is_trusted_extension(extension: &str) -> bool {
    TRUSTED_EXTENSIONS.contains(&extension)
}

fn set_config(node: Node<'_>, setting: Option<&str>) -> Option<Denied> {
    if node.names("funcname").last() != Some(&"set_config") {
        return None;
    }
    // Named notation can put the name anywhere.
    let named = node.list("args").any(|argument| argument.is("NamedArgExpr"));
    set_config_of(setting.filter(|_| !named))
}

/// `set_config('role', …)` is SET ROLE, and one whose name cannot be read may be.
pub(super) fn set_config_of(setting: Option<&str>) -> Option<Denied> {
    match setting {
        Some(name) => role_setting(name, true),
        None => Some(Denied::new(
            AlwaysDenied::SessionAuthorization,
            "set_config of the role",
        )),
    }
}

/// `SET ROLE NONE` and its like give the role back. One that is called `"NONE"` is another.
fn is_none(node: Node<'_>) -> bool {
    node.text("name").eq_ignore_ascii_case("role") && node.list("args").all(|arg| arg.literal() == Some("none"))
}

/// The role of a SET ROLE.
fn named_role(node: Node<'_>) -> Option<String> {
    let mut given = node.list("args");
    let (role, None) = (given.next()?, given.next()) else {
        return None;
    };
    let sets = node.text("name").eq_ignore_ascii_case("role");
    role.literal().filter(|_| sets).map(str::to_owned)
}

/// What is always refused about a setting. `sets`: whether it gets a value of somebody's choice.
pub(super) fn role_setting(name: &str, sets: bool) -> Option<Denied> {
    match name.to_ascii_lowercase().as_str() {
        "role" if sets => Some(Denied::new(AlwaysDenied::SessionAuthorization, "SET ROLE")),
        "session_authorization" if sets => Some(Denied::new(
            AlwaysDenied::SessionAuthorization,
            "SET SESSION AUTHORIZATION",
        )),
        _ => None,
    }
}

fn preloads(name: &str) -> bool {
    PRELOADS.iter().any(|setting| name.eq_ignore_ascii_case(setting))
}

/// What is always refused about a relation of PostgreSQL's own, or one whose schema is not said.
pub(super) fn file_view(name: &str) -> Option<Denied> {
    let shows = FILE_VIEWS.contains(&name);
    shows.then(|| Denied::new(AlwaysDenied::ServerFileFunctions, format!("view {name}")))
}

/// Whether options of a foreign table name a file or a program of the server.
fn names_file(node: Node<'_>) -> bool {
    let changed = node.node("def").into_iter().flat_map(|def| def.list("items"));
    node.list("options")
        .chain(changed)
        .any(|option| FILE_OPTIONS.contains(&option.text("defname")))
}

fn untrusted(node: Node<'_>, options: &str, what: &str) -> Option<Denied> {
    let mut language = None;
    for option in node.list(options) {
        match option.text("defname") {
            "language" => language = option.node("arg").and_then(Node::literal),
            // Two texts are an object file and a symbol: C, whatever else is said.
            "as" if option.node("arg").is_some_and(|arg| arg.count("items") > 1) => language = Some("c"),
            _ => {}
        }
    }
    // A DO block and a body without a language are the default: plpgsql and SQL.
    let language = language?.to_ascii_lowercase();
    (!is_readable_language(&language))
        .then(|| Denied::new(AlwaysDenied::UntrustedFunctions, format!("{what} LANGUAGE {language}")))
}
