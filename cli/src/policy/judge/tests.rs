use super::*;
use crate::policy::manifests::Manifests;

/// The samples, with the columns of rule `customer-numbers` under a profile, and more objects.
pub(in crate::policy) fn policy_with(profile: &str, more: &str) -> Policy {
    let sample = |file: &str| {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples");
        std::fs::read_to_string(format!("{directory}/{file}")).unwrap()
    };
    let masks = sample("masking-rules.yaml").replacen("profile: Standard", &format!("profile: {profile}"), 1);
    let all = [
        sample("connection.yaml"),
        sample("approval-policy.yaml"),
        masks,
        more.to_owned(),
    ]
    .join("\n---\n");
    let own = format!("{}-{:?}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(format!("sallyport-judge-{profile}-{own}.yaml"));
    std::fs::write(&file, all).unwrap();
    let policy = Manifests::read(&file).unwrap().compile("doors/bank").unwrap();
    std::fs::remove_file(&file).unwrap();
    policy
}

pub(in crate::policy) fn policy(profile: &str) -> Policy {
    policy_with(profile, "")
}

pub(in crate::policy) fn judged(
    policy: &Policy,
    tables: &[(&str, &[&str])],
    parameters: &[Parameter],
    text: &str,
) -> Vec<Judged> {
    let subject = Subject {
        username: "oidc:alice".into(),
        groups: vec!["oidc:engineers".into()],
        ..Subject::default()
    };
    let tables = tables.iter().map(|(table, columns)| {
        let columns = columns.iter().map(|column| (*column).to_owned());
        ((*table).to_owned(), columns.collect::<Vec<String>>())
    });
    let asked = Asked {
        policy,
        subject: &subject,
        tables: &tables.collect(),
        recorded: None,
        database: "bank",
        parameters,
        at: 0,
    };
    judge(&asked, text).unwrap()
}

fn verdict(policy: &Policy, text: &str) -> String {
    let judged = judged(policy, &[], &[], text);
    let verdict = &judged[0].decision.verdict;
    format!("{:?} {}", action(verdict), deciders(verdict).join(", "))
}

const ALLOWED: &str = "Allow changes/everything-else";
const REFUSED: &str = "Deny customer-numbers";

#[test]
fn what_a_masking_rule_refuses_at_the_door_is_refused_here() {
    let (standard, strict) = (policy("Standard"), policy("Strict"));
    for (text, by_standard, by_strict) in [
        ("SELECT reverse(ssn) FROM customers", ALLOWED, REFUSED),
        (
            "UPDATE customers SET ssn = '536-90-4399' WHERE id = 7",
            REFUSED,
            REFUSED,
        ),
        ("SELECT name FROM customers WHERE ssn = '536-90-4399'", ALLOWED, REFUSED),
        ("SELECT ssn FROM customers", ALLOWED, ALLOWED),
        ("SELECT c.name FROM customers c WHERE c.id = 7", ALLOWED, ALLOWED),
        ("UPDATE customers SET nickname = 'x' WHERE id = 7", ALLOWED, ALLOWED),
        ("INSERT INTO customers (ssn) VALUES ('1')", ALLOWED, REFUSED),
        ("INSERT INTO customers (id) VALUES (1)", ALLOWED, ALLOWED),
        ("COPY customers (ssn) FROM STDIN", ALLOWED, REFUSED),
        ("COPY customers TO STDOUT", ALLOWED, ALLOWED),
        ("EXPLAIN SELECT id FROM customers", ALLOWED, REFUSED),
        ("SELECT reverse(c::text) FROM customers c", ALLOWED, REFUSED),
        ("SELECT query FROM pg_stat_activity", ALLOWED, REFUSED),
        ("SELECT relname FROM pg_class", ALLOWED, ALLOWED),
        ("SET client_encoding = 'UTF-8'", ALLOWED, ALLOWED),
        ("SET client_encoding = latin1", "Deny ", "Deny "),
        // One statement or two, as standard_conforming_strings says.
        (r"SELECT 'a\'; SELECT 1 --'", "Deny ", "Deny "),
        // A pattern of names fits whatever the text calls so.
        (
            "UPDATE accounts SET email = 'a@b.example' WHERE id = 7",
            "Deny mail-addresses",
            "Deny mail-addresses",
        ),
        // What stands for hidden values is no value.
        (
            "UPDATE customers SET nickname = '[REDACTED]' WHERE id = 7",
            "Deny detected-anywhere",
            "Deny detected-anywhere",
        ),
    ] {
        assert_eq!(verdict(&standard, text), by_standard, "Standard: {text}");
        assert_eq!(verdict(&strict, text), by_strict, "Strict: {text}");
    }
}

#[test]
fn parameters_and_declared_columns_count() {
    let standard = policy("Standard");
    let text = "UPDATE customers SET nickname = $1 WHERE id = 7";
    for (value, denied) in [("[REDACTED]", true), ("Al", false)] {
        let judged = judged(&standard, &[], &[Parameter::Text(value.to_owned())], text);
        let found = matches!(judged[0].decision.verdict, Verdict::Deny(_));
        assert_eq!(found, denied, "{value}");
    }
    // A table that is declared without columns is known by its name alone.
    for columns in [Vec::new(), vec!["id", "ssn"]] {
        let text = "UPDATE customers SET ssn = $1";
        let judged = judged(
            &standard,
            &[("public.customers", &columns[..])],
            &[Parameter::Unreadable],
            text,
        );
        assert_eq!(deciders(&judged[0].decision.verdict), ["customer-numbers"]);
    }
}

#[test]
fn what_a_verdict_hangs_on_is_told() {
    let strict = policy("Strict");
    let provided = |tables: &[(&str, &[&str])], text: &str| {
        let judged = judged(&strict, tables, &[], text);
        judged.last().unwrap().provided.join("\n")
    };
    let text = "SELECT name FROM customers";
    let columns = "no columns but those that are named";
    let unknown = provided(&[], text);
    assert!(
        unknown.starts_with("public.customers is a table and no view"),
        "{unknown}"
    );
    assert!(unknown.contains(columns), "{unknown}");
    let declared = provided(&[("public.customers", &["id", "name"][..])], text);
    assert!(
        declared.contains("public.customers is a table") && !declared.contains(columns),
        "{declared}"
    );
    assert_eq!(provided(&[], "SELECT relname FROM pg_class"), "");
    assert!(provided(&[], "EXECUTE p").starts_with("what it executes"));
    let behind = provided(&[], "CREATE VIEW v AS SELECT 1; SELECT 1");
    assert!(behind.starts_with("it is sent on its own"), "{behind}");
    assert_eq!(provided(&[], "SELECT 2; SELECT 1"), "");
}
