//! What a client asks for in its startup message, and which of it a door lets through.

use sallyport_crds::approval_policy::OnHold;
use sallyport_policy::sql::is_utf8;

use super::errors::{Said, sqlstate};
use super::frame::Body;
use super::startup::StartupError;

/// Settings that a client may choose at startup. Whatever else PostgreSQL knows could change who the session is or how
/// statements are read, and is refused by name.
const ALLOWED: &[&str] = &[
    "bytea_output",
    "client_min_messages",
    "datestyle",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "effective_cache_size",
    "enable_bitmapscan",
    "enable_hashjoin",
    "enable_indexscan",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_seqscan",
    "enable_sort",
    "extra_float_digits",
    "from_collapse_limit",
    "geqo",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "join_collapse_limit",
    "lock_timeout",
    "max_parallel_workers_per_gather",
    "plan_cache_mode",
    "random_page_cost",
    "search_path",
    "standard_conforming_strings",
    "statement_timeout",
    "synchronous_commit",
    "timezone",
    "transaction_timeout",
    "work_mem",
];

/// The door's own setting: whether a held command waits or is refused at once.
const ON_HOLD: &str = "sallyport.on_hold";

/// The door's own setting: how the client sends its token.
const LOGIN: &str = "sallyport.login";

/// The door's own setting: why the person would go ahead without the approvals that their commands need.
const BREAK_GLASS: &str = "sallyport.break_glass";
/// As long as an AccessRequest's reason may be.
const MAX_REASON: usize = 1_024;

/// The longest name that PostgreSQL keeps, in bytes (`NAMEDATALEN` less one).
const NAME_BYTES: usize = 63;

/// How a client sends its token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// As a password.
    #[default]
    Password,
    /// By OAUTHBEARER.
    OAuth,
}

/// What a client wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The user name it typed: recorded, decides nothing.
    pub user: String,
    /// The database; the user name where it named none, as PostgreSQL does.
    pub database: String,
    /// The program's name, passed on.
    pub application: Option<String>,
    /// Settings for the target, in order.
    pub settings: Vec<(String, String)>,
    /// How it sends its token.
    pub login: Login,
    /// What it wants to happen at a hold.
    pub on_hold: Option<OnHold>,
    /// Why it would go ahead without waiting, where policy permits that.
    pub break_glass: Option<String>,
    /// Options of the protocol, none of which is known here: it is told so, and goes on without.
    pub unknown: Vec<String>,
}

/// Reads the parameters of a startup message.
///
/// # Errors
/// In words, where something is asked for that the door does not let through.
pub(super) fn wanted(mut body: Body<'_>) -> Result<Wanted, StartupError> {
    let mut wanted = Wanted::default();
    let mut database = None;
    loop {
        let key = body.text()?;
        if key.is_empty() {
            break;
        }
        let value = body.text()?;
        match key {
            "user" => value.clone_into(&mut wanted.user),
            "database" => database = Some(value.to_owned()),
            "application_name" => wanted.application = Some(value.to_owned()),
            "client_encoding" => encoding(value)?,
            "replication" => replication(value)?,
            "options" => options(value, &mut wanted)?,
            _ if key.starts_with("_pq_.") => wanted.unknown.push(key.to_owned()),
            _ => setting(key, value, &mut wanted)?,
        }
    }
    body.end()?;
    if wanted.user.is_empty() {
        return Err(Said::fatal(
            sqlstate::BAD_LOGIN,
            "no user name was given: any will do, the token says who you are",
        )
        .into());
    }
    wanted.database = database
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| wanted.user.clone());
    // Up to version 16 PostgreSQL cuts it and opens another, whose columns are known here by its own name.
    if wanted.database.len() > NAME_BYTES {
        let words = format!("names of databases have at most {NAME_BYTES} bytes");
        return Err(Said::fatal(sqlstate::NO_DATABASE, words).into());
    }
    Ok(wanted)
}

fn refuse(words: String) -> StartupError {
    Said::fatal(sqlstate::BAD_SETTING, words).into()
}

/// Another encoding would carry values past every mask.
fn encoding(value: &str) -> Result<(), StartupError> {
    if is_utf8(value) {
        return Ok(());
    }
    Err(refuse(format!(
        "client_encoding \"{}\" is refused: this door speaks UTF8",
        shown(value)
    )))
}

fn replication(value: &str) -> Result<(), StartupError> {
    match value.to_ascii_lowercase().as_str() {
        "false" | "off" | "no" | "0" => Ok(()),
        _ => Err(Said::fatal(
            sqlstate::UNSUPPORTED,
            "replication connections are refused at this door",
        )
        .into()),
    }
}

fn setting(key: &str, value: &str, wanted: &mut Wanted) -> Result<(), StartupError> {
    let name = key.to_ascii_lowercase();
    match name.as_str() {
        ON_HOLD => {
            wanted.on_hold = Some(match value.to_ascii_lowercase().as_str() {
                "wait" => OnHold::Wait,
                "refuse" => OnHold::Refuse,
                _ => return Err(refuse(format!("{ON_HOLD} is \"wait\" or \"refuse\""))),
            });
            Ok(())
        }
        LOGIN => {
            wanted.login = match value.to_ascii_lowercase().as_str() {
                "password" => Login::Password,
                "oauth" => Login::OAuth,
                _ => return Err(refuse(format!("{LOGIN} is \"password\" or \"oauth\""))),
            };
            Ok(())
        }
        BREAK_GLASS => {
            let reason: String = value.chars().filter(|c| !c.is_control()).collect();
            let reason = reason.trim();
            if reason.is_empty() || reason.len() > MAX_REASON {
                return Err(refuse(format!(
                    "{BREAK_GLASS} is the reason, of at most {MAX_REASON} bytes"
                )));
            }
            wanted.break_glass = Some(reason.to_owned());
            Ok(())
        }
        "client_encoding" => encoding(value),
        "application_name" => {
            wanted.application = Some(value.to_owned());
            Ok(())
        }
        _ if ALLOWED.contains(&name.as_str()) => {
            wanted.settings.push((name, value.to_owned()));
            Ok(())
        }
        _ => Err(out_of_reach(key)),
    }
}

fn out_of_reach(key: &str) -> StartupError {
    let key = shown(key);
    let words = format!("setting \"{key}\" cannot be chosen at startup through this door");
    let said = Said::fatal(sqlstate::BAD_SETTING, words);
    said.hint("Leave it out, and SET it once you are in: that is judged as any statement is.")
        .into()
}

/// `options`: `-c name=value` and `--name=value`, separated by blanks, a backslash before what is meant literally.
fn options(text: &str, wanted: &mut Wanted) -> Result<(), StartupError> {
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
        let pair = if word == "-c" {
            words.next().unwrap_or_default()
        } else if let Some(pair) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            pair.to_owned()
        } else {
            return Err(refuse(format!(
                "option \"{}\" is refused: only -c name=value is taken",
                shown(&word)
            )));
        };
        let Some((name, value)) = pair.split_once('=') else {
            return Err(refuse(format!("option \"{}\" has no value", shown(&pair))));
        };
        setting(&name.replace('-', "_"), value, wanted)?;
    }
    Ok(())
}

fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut literal = false;
    for c in text.chars() {
        match c {
            '\\' if !literal => {
                literal = true;
                continue;
            }
            c if c.is_ascii_whitespace() && !literal => found.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
        literal = false;
    }
    found.extend(word);
    found
}

/// A client's own words, cut and without control characters, fit to be said back.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Wanted, StartupError> {
        let mut bytes = Vec::new();
        for (key, value) in [("user", "alice")].iter().chain(pairs) {
            super::super::frame::put_cstr(&mut bytes, key);
            super::super::frame::put_cstr(&mut bytes, value);
        }
        bytes.push(0);
        wanted(Body::new(&bytes))
    }

    #[test]
    fn what_would_weaken_the_door_is_refused_in_words() {
        let cases: [(&str, &str, Option<&str>); 24] = [
            ("options", "-c sallyport.login=oauth", None),
            ("options", "-c sallyport.login=kerberos", Some("oauth")),
            ("options", r"-c sallyport.break_glass=the\ branch\ is\ down", None),
            ("options", "-c sallyport.break_glass=", Some("reason")),
            ("client_encoding", "LATIN1", Some("UTF8")),
            ("client_encoding", "SQL_ASCII", Some("UTF8")),
            ("client_encoding", "utf-8", None),
            ("client_encoding", "UNICODE", None),
            ("replication", "true", Some("replication")),
            ("replication", "database", Some("replication")),
            ("replication", "off", None),
            ("_pq_.x", "1", None),
            ("options", "-c _pq_.x=1", Some("cannot be chosen")),
            ("role", "postgres", Some("role")),
            ("session_authorization", "postgres", Some("cannot be chosen")),
            ("DateStyle", "ISO", None),
            ("options", "-c idle_session_timeout=5min", None),
            ("options", "-c log_statement=none", Some("cannot be chosen")),
            ("options", "-c role=postgres", Some("cannot be chosen")),
            ("options", "-crole=postgres", Some("cannot be chosen")),
            ("options", "--client-encoding=LATIN1", Some("UTF8")),
            ("options", "-d 5", Some("only -c")),
            ("options", "-c sallyport.on_hold=maybe", Some("wait")),
            ("options", "-c geqo", Some("no value")),
        ];
        for (key, value, refused) in cases {
            match (read(&[(key, value)]), refused) {
                (Ok(_), None) => {}
                (Err(StartupError::Refused(said)), Some(word)) => {
                    assert!(said.message.contains(word), "{}", said.message)
                }
                (other, _) => panic!("{key}={value}: {other:?}"),
            }
        }
    }

    #[test]
    fn options_are_split_as_postgresql_splits_them() {
        let got = read(&[
            ("database", "bank"),
            (
                "options",
                r"-c search_path=a\ b,c  --sallyport.on_hold=refuse -cgeqo=off",
            ),
        ])
        .unwrap();
        assert_eq!(got.database, "bank");
        assert_eq!(got.on_hold, Some(OnHold::Refuse));
        assert_eq!(
            got.settings,
            [("search_path".into(), "a b,c".into()), ("geqo".into(), "off".into())]
        );
    }

    #[test]
    fn no_database_goes_by_a_name_that_postgresql_cuts() {
        let named = "d".repeat(NAME_BYTES);
        assert_eq!(read(&[("database", &named)]).unwrap().database, named);
        let long = named + "d";
        for pairs in [[("database", long.as_str())], [("user", long.as_str())]] {
            match read(&pairs) {
                Err(StartupError::Refused(said)) => assert_eq!(said.code, sqlstate::NO_DATABASE),
                other => panic!("{other:?}"),
            }
        }
        let named = read(&[("user", &long), ("database", "bank")]).unwrap();
        assert_eq!((named.user, named.database), (long, "bank".to_owned()));
    }

    #[test]
    fn a_truncated_message_is_malformed() {
        assert!(matches!(
            wanted(Body::new(b"user\0alice")),
            Err(StartupError::Malformed)
        ));
        assert!(matches!(
            wanted(Body::new(b"user\0alice\0")),
            Err(StartupError::Malformed)
        ));
        assert!(matches!(
            wanted(Body::new(b"user\0alice\0\0rest")),
            Err(StartupError::Malformed)
        ));
    }
}
