//! Cases that are right, wrong and broken.

use super::*;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples");
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/reference");

fn tried(directory: &str, cases: &str) -> Vec<Tried> {
    let mut manifests = Manifests::read(directory.as_ref()).unwrap();
    manifests
        .others
        .push(("more.yaml".into(), serde_saphyr::from_str(cases).unwrap()));
    try_all(&manifests).unwrap()
}

#[test]
fn the_library_does_what_it_says() {
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/library");
    let tried = try_all(&Manifests::read(library.as_ref()).unwrap()).unwrap();
    assert!(tried.len() >= 30, "{}", tried.len());
    for one in tried {
        assert!(one.failures.is_empty(), "{} {}: {:?}", one.file, one.name, one.failures);
        assert_eq!(one.note, None, "{} {}", one.file, one.name);
    }
}

#[test]
fn the_reference_compiles() {
    let manifests = Manifests::read(REFERENCE.as_ref()).unwrap();
    for connection in ["doors/ledger", "doors/laboratory"] {
        if let Err(error) = manifests.compile(connection) {
            panic!("{connection}: {error:#}");
        }
    }
}

#[test]
fn cases_say_what_the_samples_do() {
    let cases = r#"
        tables: {public.customers: [id, name, ssn]}
        cases:
          - name: right
            connection: doors/bank
            as: {user: "oidc:alice", groups: ["oidc:engineers"]}
            statement: SELECT 1; DELETE FROM accounts WHERE id = 7
            expect: {verdict: RequireApproval, rule: changes/delete-needs-a-dba, masked: [], admitted: true, risk: 50}
          - name: masked
            connection: bank
            as: {user: "oidc:alice", groups: ["oidc:engineers"]}
            statement: SELECT * FROM customers
            expect: {verdict: Allow, masked: [ssn]}
          - name: a column of a table that nobody declared is no call
            connection: bank
            as: {user: "oidc:alice", groups: ["oidc:engineers"]}
            statement: SELECT a.balance FROM accounts a
            expect: {verdict: Allow}
          - name: wrong & <loud>
            connection: bank
            as: {user: "oidc:mallory"}
            statement: SELECT 1
            expect: {verdict: Allow, rule: changes/everything-else, admitted: true}
          - name: broken
            connection: bank
            as: {user: "oidc:alice"}
            statement: SELEC
            expect: {verdict: Deny}
          - {name: nowhere, connection: none, as: {user: x}, statement: SELECT 1, expect: {verdict: Deny}}
          - {name: vain, connection: bank, as: {user: x}, statement: SELECT 1, expect: {}}
    "#;
    let all = tried(SAMPLES, cases);
    let more: Vec<_> = all.iter().filter(|one| one.file == "more.yaml").collect();
    let counts: Vec<usize> = more.iter().map(|one| one.failures.len()).collect();
    assert_eq!(
        counts,
        [0, 0, 0, 3, 1, 1, 1],
        "{:?}",
        more.iter().map(|one| &one.failures).collect::<Vec<_>>()
    );
    assert_eq!(more[3].failures[0], "verdict: wanted Allow, got Deny");
    for (case, words) in [
        (4, "does not parse"),
        (5, "there is no Connection"),
        (6, "could not fail"),
    ] {
        assert!(more[case].failures[0].contains(words), "{:?}", more[case].failures);
    }
    let xml = junit(&all);
    assert!(
        xml.contains("name=\"wrong &amp; &lt;loud&gt;\"><failure message=\"verdict: wanted Allow"),
        "{xml}"
    );
    assert!(
        xml.contains(&format!("tests=\"{}\" failures=\"4\"", all.len())),
        "{xml}"
    );
}

#[test]
fn an_agent_that_may_not_act_for_the_person_is_not_admitted() {
    let case = |user: &str, agents: &str, more: &str, expect: &str| {
        format!(
            "  - name: '{user} {agents} {more}'\n    connection: doors/ledger\n    statement: SELECT 1\n    \
             as: {{user: \"{user}\", groups: [\"oidc:engineers\"], agents: [{agents}]{more}}}\n    expect: {{{expect}}}\n"
        )
    };
    let (assistant, copilot) = ("\"system:serviceaccount:agents:assistant\"", "\"oidc:copilot\"");
    let both = format!("{assistant}, {copilot}");
    let by_token = ", tokenNamesAgents: true";
    let cases = [
        case("oidc:alice", "", "", "admitted: true"),
        case("oidc:alice", assistant, "", "admitted: true"),
        case("oidc:carol", copilot, "", "admitted: true"),
        case("oidc:alice", copilot, "", "admitted: false"),
        case("oidc:alice", copilot, by_token, "admitted: true"),
        case("oidc:carol", &both, "", "admitted: false"),
        case("oidc:carol", &both, by_token, "admitted: true"),
        case("oidc:alice", copilot, "", "verdict: Allow"),
    ];
    let tried = tried(REFERENCE, &format!("cases:\n{}", cases.concat()));
    for one in &tried {
        assert!(one.failures.is_empty(), "{}: {:?}", one.name, one.failures);
    }
    let notes: Vec<&String> = tried.iter().filter_map(|one| one.note.as_ref()).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    let words = "oidc:alice would not come in through oidc:copilot";
    assert!(notes[0].starts_with(words), "{notes:?}");
}
