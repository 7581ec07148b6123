//! A hold as a person at a PostgreSQL prompt sees it.

use std::time::Duration;

use sallyport_audit::Time;

use super::errors::Said;
use crate::command::{Waiting, WentAhead};

/// What adds an approval without the plugin, for a shell: whatever the entry has to say is asked of the API server. The values stand
/// between quotes, where the text of a template and of YAML mean the same.
const LINE: &str = r#"kubectl patch accessrequest NAME -n NAMESPACE --subresource=status --type=json -p "[{op: add, path: /status/approvals/-, value: {decision: Approve, $(kubectl get accessrequest NAME -n NAMESPACE -o go-template='requestUID: {{printf "%q" .metadata.uid}}, {{with .spec.command}}digest: {{printf "%q" .digest}}, {{end}}')$(kubectl auth whoami -o go-template='{{with .status.userInfo}}user: {{printf "%q" .username}}, {{with .uid}}subject: {{printf "%q" .}}, {{end}}{{with .extra}}{{with index . "sallyport.dev/issuer"}}issuer: {{printf "%q" (index . 0)}}, {{end}}{{with index . "sallyport.dev/auth-time"}}authTime: {{index . 0}}, {{end}}{{end}}groups: [{{range .groups}}{{printf "%q" .}}, {{end}}]{{end}}')}}]""#;

/// The NOTICE that says what is waited for, and what an approver has to type.
#[must_use]
pub fn notice(waiting: &Waiting) -> Said {
    let Waiting {
        namespace,
        name,
        progress,
        reasons,
        needs,
        left,
        first,
    } = waiting;
    if !first {
        let so_far = if progress.is_empty() {
            String::new()
        } else {
            format!(", {progress} approvals")
        };
        return Said::notice(format!(
            "still waiting for approval of AccessRequest {name}{so_far}: {} left",
            span(*left)
        ));
    }
    let mut said = Said::notice(format!(
        "this command waits for approval of AccessRequest {name}: {} left",
        span(*left)
    ));
    let mut detail = reasons.join("\n");
    if !detail.is_empty() {
        detail.push('\n');
    }
    for need in needs {
        detail.push_str(&format!("It takes {need}.\n"));
    }
    detail.push_str("Cancel (Ctrl-C) takes it back.");
    said = said.detail(detail);
    said.hint(format!(
        "An approver types: kubectl sallyport approve {name} -n {namespace}\n\
         or, without the plugin, after a look at kubectl get accessrequest {name} -n {namespace} -o yaml:\n{}",
        LINE.replace("NAMESPACE", namespace).replace("NAME", name)
    ))
}

/// The NOTICE to whoever goes ahead without an approval.
#[must_use]
pub fn broken(glass: &WentAhead) -> Said {
    let WentAhead {
        namespace,
        name,
        until,
        reviewers,
    } = glass;
    let until = until.map(|until| format!(" until {}", second(until)));
    Said::notice(format!(
        "break-glass is in use{}: AccessRequest {name}",
        until.unwrap_or_default()
    ))
    .detail(format!(
        "What needs an approval runs without one, and is on record so. It has to be reviewed by {reviewers}."
    ))
    .hint(format!(
        "A reviewer types: kubectl sallyport review {name} -n {namespace}"
    ))
}

/// A moment to the second, as Kubernetes writes it.
fn second(time: Time) -> String {
    let text = Time::from_unix_secs(time.unix_micros().div_euclid(1_000_000)).to_string();
    text.replace(".000000", "")
}

/// A span of time as people say it.
fn span(left: Duration) -> String {
    let seconds = left.as_secs_f64().ceil();
    match seconds {
        s if s >= 7_200.0 => format!("{:.0} h", s / 3_600.0),
        s if s >= 120.0 => format!("{:.0} min", s / 60.0),
        s => format!("{s:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_has_the_line_to_paste() {
        let mut waiting = Waiting {
            namespace: "doors".into(),
            name: "bank-7f3".into(),
            progress: String::new(),
            reasons: vec!["deletes need a second person".into()],
            needs: vec!["1 of group oidc:dba".into()],
            left: Duration::from_secs(600),
            first: true,
        };
        let said = notice(&waiting);
        assert!(
            said.message.contains("bank-7f3") && said.message.contains("10 min"),
            "{said:?}"
        );
        assert!(
            said.detail
                .as_ref()
                .unwrap()
                .contains("It takes 1 of group oidc:dba.\n")
        );
        let hint = said.hint.unwrap();
        assert!(hint.contains("kubectl sallyport approve bank-7f3 -n doors\n"), "{hint}");
        let line = hint.lines().next_back().unwrap();
        assert!(
            line.starts_with("kubectl patch accessrequest bank-7f3 -n doors --subresource=status --type=json -p "),
            "{line}"
        );
        let left = ["NAME", "…"].iter().any(|blank| line.contains(blank));
        assert!(!left, "something is left to fill in: {line}");
        waiting.first = false;
        waiting.progress = "1/2".into();
        assert!(notice(&waiting).message.contains("1/2"));
    }

    #[test]
    fn who_goes_ahead_reads_until_when_and_who_looks_at_it() {
        let mut glass = WentAhead {
            namespace: "doors".into(),
            name: "bank-7f3".into(),
            until: Some(Time::from_unix_micros(1_764_000_000_999_999)),
            reviewers: "1 of group oidc:dba".into(),
        };
        let said = broken(&glass);
        assert_eq!(
            said.message,
            "break-glass is in use until 2025-11-24T16:00:00Z: AccessRequest bank-7f3"
        );
        assert!(said.detail.unwrap().ends_with("reviewed by 1 of group oidc:dba."));
        assert!(
            said.hint
                .unwrap()
                .ends_with("kubectl sallyport review bank-7f3 -n doors")
        );
        glass.until = None;
        assert_eq!(broken(&glass).message, "break-glass is in use: AccessRequest bank-7f3");
    }

    /// What the page says is run against a real API server (e2e/apiserver/tests/admission/line.rs).
    #[test]
    fn the_line_is_the_one_of_the_page() {
        let page = include_str!("../../../docs/approvals.md");
        assert!(page.lines().any(|line| line == LINE), "{LINE}");
    }
}
