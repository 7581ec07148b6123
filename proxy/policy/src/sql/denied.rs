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
}

/// Languages whose functions cannot leave the database. `c` and `internal` are code of the server itself, and what is not
/// listed is taken for untrusted.
const TRUSTED_LANGUAGES: [&str; 6] = ["sql", "plpgsql", "plperl", "pltcl", "plv8", "plrust"];

/// Foreign data wrappers that read files or run programs of the server.
const FILE_WRAPPERS: [&str; 1] = ["file_fdw"];

const OBJECT_ROLE: i64 = 34;
const VALUE: i64 = 1;

/// Functions by exact name.
const FUNCTIONS: [(&str, AlwaysDenied); 32] = [
    ("loread", AlwaysDenied::ServerFileFunctions),
    ("lowrite", AlwaysDenied::ServerFileFunctions),
    ("pg_stat_file", AlwaysDenied::ServerFileFunctions),
    ("pg_read_file", AlwaysDenied::ServerFileFunctions),
    ("pg_read_file_old", AlwaysDenied::ServerFileFunctions),
    ("pg_read_binary_file", AlwaysDenied::ServerFileFunctions),
    ("pg_hba_file_rules", AlwaysDenied::ServerFileFunctions),
    ("pg_ident_file_mappings", AlwaysDenied::ServerFileFunctions),
    ("pg_show_all_file_settings", AlwaysDenied::ServerFileFunctions),
    ("pg_export_snapshot", AlwaysDenied::ServerFileFunctions),
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

// === impl Denied ===

impl Denied {
    fn new(class: AlwaysDenied, what: impl Into<String>) -> Self {
        Self {
            class,
            what: what.into(),
        }
    }

    /// The reason as the person reads it.
    pub fn reason(&self) -> String {
        let why = match self.class {
            AlwaysDenied::Roles => "roles and their settings are shared by everybody behind this door",
            AlwaysDenied::SessionAuthorization => "the role at the target is the door's own",
            AlwaysDenied::AlterSystem => "settings of the whole server are out of reach through this door",
            AlwaysDenied::Load => "libraries cannot be loaded into the server through this door",
            AlwaysDenied::ServerFiles => "files and programs of the server are out of reach through this door",
            AlwaysDenied::ServerFileFunctions => {
                "files and large objects of the server are out of reach through this door"
            }
            AlwaysDenied::SignalBackends => {
                "other sessions and the server itself cannot be signalled through this door"
            }
            AlwaysDenied::Replication => "replication and logical decoding would carry rows past the mask",
            AlwaysDenied::UntrustedFunctions => {
                "functions in C or an untrusted language run outside the database's rules"
            }
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
        "DropRoleStmt" => Denied::new(Class::Roles, "DROP ROLE"),
        "GrantRoleStmt" => Denied::new(Class::Roles, "GRANT or REVOKE of a role"),
        "RenameStmt" if node.int("rename_type") == OBJECT_ROLE => Denied::new(Class::Roles, "ALTER ROLE"),
        "VariableSetStmt" => return role_setting(node.text("name"), node.int("kind") == VALUE, node),
        "AlterSystemStmt" => Denied::new(Class::AlterSystem, "ALTER SYSTEM"),
        "LoadStmt" => Denied::new(Class::Load, "LOAD"),
        "CopyStmt" if node.flag("is_program") => Denied::new(Class::ServerFiles, "COPY with PROGRAM"),
        "CopyStmt" if node.has("filename") => Denied::new(Class::ServerFiles, "COPY with a file of the server"),
        "CreateForeignServerStmt" if FILE_WRAPPERS.contains(&node.text("fdwname")) => {
            Denied::new(Class::ServerFiles, "CREATE SERVER on files of the server")
        }
        "CreateSubscriptionStmt" | "AlterSubscriptionStmt" | "DropSubscriptionStmt" => {
            Denied::new(Class::Replication, "a SUBSCRIPTION")
        }
        "CreatePublicationStmt" | "AlterPublicationStmt" => Denied::new(Class::Replication, "a PUBLICATION"),
        "CreateFunctionStmt" => return untrusted(node, "options", "CREATE FUNCTION"),
        "DoStmt" => return untrusted(node, "args", "DO"),
        "CreatePLangStmt" if !node.flag("pltrusted") => Denied::new(Class::UntrustedFunctions, "CREATE LANGUAGE"),
        "FuncCall" => return function(&node.names("funcname")).or_else(|| set_config(node, setting)),
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

/// `set_config('role', …)` is SET ROLE, and one whose name cannot be read may be.
fn set_config(node: Node<'_>, setting: Option<&str>) -> Option<Denied> {
    if node.names("funcname").last() != Some(&"set_config") {
        return None;
    }
    let denied = || {
        Some(Denied::new(
            AlwaysDenied::SessionAuthorization,
            "set_config of the role",
        ))
    };
    // Named notation can put the name anywhere.
    if node.list("args").any(|argument| argument.is("NamedArgExpr")) {
        return denied();
    }
    match setting {
        Some(name) => role_setting(name, true, node),
        None => denied(),
    }
}

fn role_setting(name: &str, sets: bool, node: Node<'_>) -> Option<Denied> {
    let none = node.is("VariableSetStmt")
        && node
            .list("args")
            .all(|arg| arg.literal().is_some_and(|role| role.eq_ignore_ascii_case("none")));
    match name.to_ascii_lowercase().as_str() {
        "role" if sets && !none => Some(Denied::new(AlwaysDenied::SessionAuthorization, "SET ROLE")),
        "session_authorization" if sets => Some(Denied::new(
            AlwaysDenied::SessionAuthorization,
            "SET SESSION AUTHORIZATION",
        )),
        _ => None,
    }
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
    (!TRUSTED_LANGUAGES.contains(&language.as_str()))
        .then(|| Denied::new(AlwaysDenied::UntrustedFunctions, format!("{what} LANGUAGE {language}")))
}
