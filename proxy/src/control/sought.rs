//! What came of the columns that rules name, as the operator is told.

use std::collections::BTreeMap;

use sallyport_policy::carrier::Carrier;
use sallyport_policy::columns::target;
use sallyport_runtime::report::{Absent, MAX_SOUGHT, Sought};

use crate::door::Sessions;

/// What a rule of which nothing is to be said takes beside its uid.
const BARE: usize = 64;

/// What to tell of the rules in force. Where there is no room for all, names are left out before rules are: what is left out counts
/// as if it fitted.
pub(super) fn told(carrier: &Carrier, sessions: &Sessions) -> BTreeMap<String, Sought> {
    let at = &carrier.connection.spec.target;
    let at = target(&at.host, at.port);
    let (mut told, mut nowhere, mut left) = (BTreeMap::new(), Vec::new(), MAX_SOUGHT);
    for rule in &carrier.masking_rules {
        let names = &rule.spec.matches.columns;
        let found = sessions.absent(&at, names).filter(|_| !names.is_empty());
        let Some(found) = found else { continue };
        let Some(rest) = left.checked_sub(BARE.saturating_add(rule.uid.len())) else {
            break;
        };
        left = rest;
        let sought = Sought {
            generation: rule.generation,
            ..Sought::default()
        };
        told.insert(rule.uid.clone(), sought);
        nowhere.extend(found.into_iter().map(|(name, absent)| (&rule.uid, name, absent)));
    }
    for (rule, name, absent) in nowhere {
        let Some(rest) = weight(&name, &absent).and_then(|weight| left.checked_sub(weight)) else {
            break;
        };
        left = rest;
        if let Some(sought) = told.get_mut(rule) {
            sought.absent.insert(name, absent);
        }
    }
    told
}

fn weight(name: &str, absent: &Absent) -> Option<usize> {
    let bytes = serde_json::to_vec(&(name, absent)).ok()?;
    Some(bytes.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sallyport_policy::mask::Fit;

    use super::*;
    use crate::manifests::sample;

    /// A Connection under these rules, each with these names.
    fn carrier(rules: usize, names: &[&str]) -> Carrier {
        let mut carrier = sample().0;
        let rule = serde_json::json!({
            "connectionSelector": { "matchLabels": { "data": "pii" } },
            "match": { "columns": names },
            "action": { "type": "Redact" },
        });
        let rules = (0..rules).map(|number| {
            let rule =
                serde_json::json!({ "name": "pii", "uid": format!("{number:036}"), "generation": 7, "spec": rule });
            serde_json::from_value(rule).unwrap()
        });
        carrier.masking_rules = rules.collect();
        carrier
    }

    fn looked(carrier: &Carrier, names: &[&str], fit: &Fit) -> Sessions {
        let sessions = Sessions::default();
        let at = &carrier.connection.spec.target;
        let fits = names.iter().map(|name| ((*name).to_owned(), fit.clone())).collect();
        sessions.looked(&target(&at.host, at.port), "bank", &Arc::new(fits));
        sessions
    }

    #[test]
    fn rules_are_told_of_once_their_names_were_looked_for() {
        let names = ["public.customers.snn", "public.customers.iban"];
        let carrier = carrier(1, &names);
        assert!(told(&carrier, &Sessions::default()).is_empty());
        assert!(told(&carrier, &looked(&carrier, &names[..1], &Fit::Column)).is_empty());
        let found = told(&carrier, &looked(&carrier, &names, &Fit::Column));
        let sought = found.values().next().unwrap();
        assert_eq!((sought.generation, sought.absent.len()), (7, 0));
        let meant = Some("public.customers.ssn".to_owned());
        let found = told(&carrier, &looked(&carrier, &names, &Fit::Nothing(meant.clone())));
        let sought = found.values().next().unwrap();
        assert!(
            sought
                .absent
                .keys()
                .eq(["public.customers.iban", "public.customers.snn"])
        );
        assert!(sought.absent.values().all(|absent| absent.meant == meant));
    }

    #[test]
    fn a_report_has_room_for_it_whatever_rules_there_are() {
        let long: Vec<String> = (0..20)
            .map(|number| format!("{number:0>80}.{0}.{0}", "\u{1}".repeat(80)))
            .collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        for (rules, names, all) in [
            (30, &["a.b.c"][..], true),
            (30, &long[..], true),
            (300, &long[..], false),
        ] {
            let carrier = carrier(rules, names);
            let found = told(&carrier, &looked(&carrier, names, &Fit::Nothing(None)));
            assert_eq!(found.len() == rules, all, "{rules}");
            assert!(serde_json::to_vec(&found).unwrap().len() <= MAX_SOUGHT, "{rules}");
        }
    }
}
