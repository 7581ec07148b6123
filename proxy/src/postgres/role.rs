//! What the role that the door has at its target could undo: to such a role masks and denials are advice, no barrier.

use sallyport_crds::Reason;

use super::ask::{Row, text};
use super::dial::Reached;
use crate::control::Lack;

/// The longest name that PostgreSQL keeps (`NAMEDATALEN` less one).
const NAME_CHARS: usize = 63;
/// As many roles as one condition names.
const MAX_ROLES: usize = 4;

/// Which roles that count the door's own is or may become: its name, theirs, and their attributes in the order of
/// [`ATTRIBUTES`]. What is inherited and what SET ROLE gives counts alike.
pub(super) const QUESTION: &str = "SELECT session_user, r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolreplication \
     FROM pg_catalog.pg_roles r WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER'::pg_catalog.text) \
     AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication OR r.rolname OPERATOR(pg_catalog.=) ANY \
     ('{pg_read_all_data,pg_read_server_files,pg_write_server_files,pg_execute_server_program}'::pg_catalog.name[])) \
     ORDER BY r.rolname OPERATOR(pg_catalog.=) session_user DESC, r.rolname LIMIT 4";

/// By what a role does more than its rights on tables say. The first has all others.
const ATTRIBUTES: [&str; 4] = ["SUPERUSER", "BYPASSRLS", "CREATEROLE", "REPLICATION"];

/// What a target that has let the door in says without being asked: whether the role is a superuser.
pub(super) fn told(reached: &Reached) -> Option<Lack> {
    superuser(&reached.parameters)
}

fn superuser(parameters: &[(String, String)]) -> Option<Lack> {
    let value = |wanted: &str| {
        let mut named = parameters.iter().rev().filter(|(name, _)| name == wanted);
        named.next().map(|(_, value)| value.as_str())
    };
    (value("is_superuser") == Some("on"))
        .then(|| too_strong(value("session_authorization").unwrap_or_default(), "is a superuser"))
}

/// What the answer to [`QUESTION`] says.
pub(super) fn asked(rows: &[Row]) -> Option<Lack> {
    let own = text(rows.first()?, 0);
    let mut why = Vec::new();
    for row in rows.iter().take(MAX_ROLES) {
        let role = text(row, 1);
        let has: Vec<&str> = ATTRIBUTES
            .into_iter()
            .zip(2..)
            .filter(|(_, column)| text(row, *column) == "t")
            .map(|(attribute, _)| attribute)
            .collect();
        if role != own {
            let with = if has.is_empty() {
                String::new()
            } else {
                format!(" ({})", has.join(", "))
            };
            why.push(format!("is a member of {}{with}", shown(role)));
        } else if has.contains(&"SUPERUSER") {
            return Some(too_strong(own, "is a superuser"));
        } else {
            why.push(format!("has {}", has.join(" and ")));
        }
    }
    Some(too_strong(own, &why.join(" and ")))
}

fn too_strong(role: &str, why: &str) -> Lack {
    let role = if role.is_empty() {
        "the door's own role".to_owned()
    } else {
        format!("role {}", shown(role))
    };
    Lack::new(
        Reason::TargetRoleTooStrong,
        format!(
            "{role} {why} at the target: what runs inside it can undo masks and denials; \
             give the door a role that owns no more than it needs"
        ),
    )
}

/// A name in the target's own words, which stand in a condition: no longer than a name, and nothing in them that ends a line or
/// steers a terminal.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(NAME_CHARS).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: [&str; 6]) -> Row {
        values.map(|value| Some(value.to_owned())).to_vec()
    }

    #[test]
    fn what_makes_masks_advice_is_named() {
        let message = |rows: &[Row]| {
            let lack = asked(rows)?;
            assert_eq!(lack.reason, Reason::TargetRoleTooStrong);
            Some(lack.message.split(" at the target").next()?.to_owned())
        };
        let reads = row(["door", "pg_read_all_data", "f", "f", "f", "f"]);
        assert_eq!(message(&[]), None);
        assert_eq!(
            message(&[row(["door", "door", "f", "t", "t", "f"]), reads.clone()]).as_deref(),
            Some("role door has BYPASSRLS and CREATEROLE and is a member of pg_read_all_data")
        );
        assert_eq!(
            message(&[row(["door", "door", "t", "t", "t", "t"]), reads.clone()]).as_deref(),
            Some("role door is a superuser")
        );
        assert_eq!(
            message(&[row(["door", "admins", "t", "f", "f", "t"])]).as_deref(),
            Some("role door is a member of admins (SUPERUSER, REPLICATION)")
        );
        // The target's words are its own.
        let long = message(&[row(["door\n", &"\u{1b}".repeat(100), "", "", "", ""])]).unwrap();
        assert!(long.starts_with(r"role door\n is a member of \u{1b}"), "{long}");
        assert_eq!(long.matches(r"\u{1b}").count(), NAME_CHARS);
        assert_eq!(
            message(&vec![reads; 100]).unwrap().matches("pg_read_all_data").count(),
            MAX_ROLES
        );
        assert!(message(&[Row::new()]).is_some());
    }

    #[test]
    fn a_superuser_is_told_by_what_the_target_says_unasked() {
        let said = |superuser: &str| {
            superuser_of(&[("is_superuser", superuser), ("session_authorization", "door")]).map(|lack| lack.message)
        };
        assert_eq!(said("off"), None);
        assert!(
            said("on")
                .unwrap()
                .starts_with("role door is a superuser at the target: ")
        );
        assert!(
            superuser_of(&[("is_superuser", "on")])
                .unwrap()
                .message
                .starts_with("the door's own role is a superuser")
        );
    }

    fn superuser_of(parameters: &[(&str, &str)]) -> Option<Lack> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        superuser(&parameters.iter().map(owned).collect::<Vec<_>>())
    }
}
