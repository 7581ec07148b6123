//! A hold as a person at a PostgreSQL prompt sees it.

use std::time::Duration;

use super::errors::Said;
use crate::command::Waiting;

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
         or, without the plugin, adds an entry to status.approvals: kubectl get accessrequest {name} -n {namespace} -o yaml; \
         kubectl patch accessrequest {name} -n {namespace} --subresource=status --type=json -p '[{{\"op\":\"add\",\"path\":\"/status/approvals/-\",\"value\":{{…}}}}]'"
    ))
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
        assert!(
            said.hint
                .unwrap()
                .contains("kubectl sallyport approve bank-7f3 -n doors\n")
        );
        waiting.first = false;
        waiting.progress = "1/2".into();
        assert!(notice(&waiting).message.contains("1/2"));
    }
}
