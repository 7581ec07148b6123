//! Columns that rules name and no database has, put together from what processes say. Pure.

use std::collections::BTreeMap;

use sallyport_runtime::report::{Absent, Sought};

/// As many names as a condition lists, and as many databases with each.
const NAMED: usize = 3;
/// A schema, a relation and a column, each of 63 characters at most.
const LONGEST: usize = 3 * 63 + 2;

/// What a process says of the columns of rules, by the rule's uid.
pub type ByRule = BTreeMap<String, Sought>;

/// What several processes say of one generation of a rule: a name is absent where none of them found it. None where nobody has
/// looked.
pub fn together<'a>(told: impl IntoIterator<Item = &'a ByRule>, uid: &str, generation: i64) -> Option<Sought> {
    let own = told.into_iter().filter_map(|rules| rules.get(uid));
    own.filter(|sought| sought.generation == generation)
        .cloned()
        .reduce(meet)
}

fn meet(mut one: Sought, other: Sought) -> Sought {
    one.absent.retain(|name, _| other.absent.contains_key(name));
    for (name, more) in other.absent {
        if let Some(absent) = one.absent.get_mut(&name) {
            absent.databases.extend(more.databases);
            absent.meant = absent.meant.take().or(more.meant);
        }
    }
    one
}

/// What `whose` columns fit nothing, as far as `doors` looked, and what to do; None where there are none.
pub fn told(whose: &str, doors: &str, sought: &Sought) -> Option<String> {
    let words = words(sought)?;
    Some(format!(
        "{whose} names what is no column of any database that {doors} looked at: {words}; mend the names or make the columns: \
         nothing is masked by a name that fits none"
    ))
}

/// The names that fit nothing, or some of them, for people; None where there are none.
fn words(sought: &Sought) -> Option<String> {
    let each = sought.absent.iter().take(NAMED);
    let named: Vec<String> = each.map(|(name, absent)| one(name, absent)).collect();
    let more = if sought.absent.len() > named.len() {
        ", and others"
    } else {
        ""
    };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

fn one(name: &str, absent: &Absent) -> String {
    let databases: Vec<String> = absent
        .databases
        .iter()
        .take(NAMED)
        .map(|database| shown(database))
        .collect();
    let meant = absent.meant.as_deref().map(shown);
    let meant = meant.map(|meant| format!("; did you mean {meant}?"));
    format!(
        "{} (looked for in {}{})",
        shown(name),
        databases.join(", "),
        meant.unwrap_or_default()
    )
}

/// A target's own words, which steer no terminal.
fn shown(name: &str) -> String {
    name.chars().take(LONGEST).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sought(generation: i64, absent: &[(&str, &str, Option<&str>)]) -> ByRule {
        let absent = absent.iter().map(|(name, database, meant)| {
            let absent = Absent {
                databases: [(*database).to_owned()].into(),
                meant: meant.map(str::to_owned),
            };
            ((*name).to_owned(), absent)
        });
        let sought = Sought {
            generation,
            absent: absent.collect(),
        };
        ByRule::from([("uid".to_owned(), sought)])
    }

    fn said(told: &[ByRule]) -> Option<String> {
        words(&together(told, "uid", 7)?)
    }

    #[test]
    fn a_name_is_absent_where_nobody_found_it() {
        let bank = sought(7, &[("a.b.x", "bank", None), ("a.b.y", "bank", Some("a.b.z"))]);
        let shop = sought(7, &[("a.b.y", "shop", None)]);
        assert_eq!(said(&[]), None);
        assert_eq!(
            said(std::slice::from_ref(&bank)).as_deref(),
            Some("a.b.x (looked for in bank), a.b.y (looked for in bank; did you mean a.b.z?)")
        );
        for told in [[bank.clone(), shop.clone()], [shop, bank.clone()]] {
            assert_eq!(
                said(&told).as_deref(),
                Some("a.b.y (looked for in bank, shop; did you mean a.b.z?)")
            );
        }
        assert_eq!(said(&[bank.clone(), sought(7, &[])]), None, "somebody found both");
        let others = sought(8, &[]);
        assert!(
            said(&[bank, others]).is_some(),
            "another generation says nothing of this one"
        );
        assert_eq!(said(&[sought(6, &[("a.b.x", "bank", None)])]), None);
    }

    #[test]
    fn some_of_many_are_named_and_none_steers_a_terminal() {
        let many = sought(
            7,
            &[
                ("a.b.1\u{1b}", "x\n", Some("a.b.\u{202e}")),
                ("a.b.2", "x", None),
                ("a.b.3", "x", None),
                ("a.b.4", "x", None),
            ],
        );
        let words = said(&[many]).unwrap();
        assert!(
            words.starts_with(r"a.b.1\u{1b} (looked for in x\n; did you mean a.b.\u{202e}?), "),
            "{words}"
        );
        assert!(words.ends_with("a.b.3 (looked for in x), and others"), "{words}");
    }
}
