//! Errors as people read them: each cause once, the API server's own words without the layers around them, and what to do.

use kube::core::Status;

use crate::visible::visible;

/// An error and what caused it, in one line.
pub fn words(error: &anyhow::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain() {
        let (text, whole) = match cause.downcast_ref::<kube::Error>() {
            Some(kube::Error::Api(status)) => (refused(status), true),
            Some(kube::Error::Service(_)) => ("the API server cannot be reached".to_owned(), false),
            _ => (cause.to_string(), false),
        };
        // Many an error repeats what caused it. What the API server says is said whatever else has its words: they may be short.
        if whole || !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        if whole {
            break;
        }
    }
    // Others' words, which steer no terminal.
    let lines = said.join(": ");
    lines.trim_end().lines().map(visible).collect::<Vec<_>>().join("\n")
}

fn refused(status: &Status) -> String {
    let words = [&status.message, &status.reason]
        .into_iter()
        .find(|words| !words.is_empty());
    let words = words.map_or("no reason is given", |words| words.trim());
    let named = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    match status.code {
        401 => format!(
            "the API server does not know you ({words}): your login there has ended, or the context is another cluster's"
        ),
        404 if !named => {
            format!("{words}: this cluster has no such kind; is it the one that has Sallyport (--context, KUBECONFIG)?")
        }
        _ => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use serde_json::json;

    use super::*;

    fn answered(code: u16, message: &str, name: &str) -> kube::Error {
        let status = json!({
            "status": "Failure", "code": code, "message": message, "reason": "R", "details": { "name": name, "kind": "accessrequests" },
        });
        kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn the_api_server_speaks_for_itself_and_people_read_what_to_do() {
        let missing = r#"accessrequests.sallyport.dev "bank-1" not found"#;
        for (code, message, name, read) in [
            (404, missing, "bank-1", missing),
            (403, "you may not", "", "you may not"),
            (422, "", "", "R"),
            (422, "denied\u{1b}[2J: no", "bank-1", "denied\\u{1b}[2J: no"),
            (
                401,
                "Unauthorized",
                "",
                "the API server does not know you (Unauthorized): your login there has ended, or the context is another \
                 cluster's",
            ),
            (
                404,
                "404 page not found\n",
                "",
                "404 page not found: this cluster has no such kind; is it the one that has Sallyport (--context, \
                 KUBECONFIG)?",
            ),
        ] {
            let error = Err::<(), _>(answered(code, message, name)).context("AccessRequest bank-1");
            assert_eq!(words(&error.unwrap_err()), format!("AccessRequest bank-1: {read}"));
        }
    }

    #[test]
    fn what_an_error_repeats_is_said_once() {
        let cause = anyhow::anyhow!("no such file");
        let error = cause
            .context("reading /x: no such file")
            .context("no usable kubeconfig");
        assert_eq!(words(&error), "no usable kubeconfig: reading /x: no such file");
        let several = anyhow::anyhow!("rule a: wrong\nrule b: wrong");
        assert_eq!(words(&several), "rule a: wrong\nrule b: wrong");
    }
}
