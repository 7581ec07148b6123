//! What of this process's protection is kept beyond it, and what is not yet.

use sallyport_policy::catalog::{Catalog, ColumnId, Snapshot};
use sallyport_policy::columns::{ByRule, MAX_KEYS, Named, TEMPORARY};
use sallyport_policy::mask::ProtectedColumns;

use super::{Entry, Place};

/// The names that are kept: as entries they are looked for in every catalog that is read.
#[must_use]
pub fn entries_of(kept: &ByRule) -> Vec<Entry> {
    let named = kept
        .iter()
        .flat_map(|(rule, columns)| columns.named.iter().map(move |named| (rule, named)));
    let entries = named.map(|(rule, named)| Entry {
        place: Place::Named(named.clone()),
        rules: vec![rule.clone()],
        own: false,
    });
    entries.collect()
}

/// What entries say that is not kept yet. A column that only a name of the rule fits counts as news: as a copy it outlives
/// the rule's generation.
#[must_use]
pub fn unkept(entries: &[Entry], kept: &ByRule) -> ByRule {
    let mut news = ByRule::new();
    for entry in entries {
        for rule in &entry.rules {
            let known = kept.get(rule);
            match &entry.place {
                Place::Column(id) if known.is_none_or(|known| !known.copied_into(*id)) => {
                    news.entry(rule.clone()).or_default().note_copied(*id);
                }
                Place::Named(named) if known.is_none_or(|known| !known.named.contains(named)) => {
                    news.entry(rule.clone()).or_default().named.insert(named.clone());
                }
                Place::Column(_) | Place::Named(_) => {}
            }
        }
    }
    news
}

/// Adds to `news` what rules protect in the catalog that is neither kept nor, as a copy, about to be.
pub fn matched(protected: &ProtectedColumns, kept: &ByRule, handed: &[Entry], news: &mut ByRule) {
    let copies = unkept(handed, &ByRule::new());
    for (id, rules) in protected.iter() {
        for (rule, generation) in rules.iter().filter_map(|rule| protected.name_of(rule)) {
            let known = kept.get(rule).is_some_and(|kept| kept.holds_under(generation, id));
            let copied = copies.get(rule).is_some_and(|copies| copies.copied_into(id));
            if !known && !copied {
                let columns = news.entry(rule.to_owned()).or_default();
                columns.generation = generation;
                columns.note_matched(id);
            }
        }
    }
}

/// Adds to `news` what rules protect that is part of a primary key, up to as much as a warning needs.
pub fn keys(protected: &ProtectedColumns, kept: &ByRule, snapshot: &Snapshot, news: &mut ByRule) {
    for (id, rules) in protected.iter() {
        let Some(key) = key_column(snapshot, id) else { continue };
        for (rule, generation) in rules.iter().filter_map(|rule| protected.name_of(rule)) {
            let told = || {
                kept.get(rule)
                    .into_iter()
                    .flat_map(move |kept| kept.keys_under(generation))
            };
            let about_to_be = news.get(rule).map_or(0, |columns| columns.keys.len());
            if told().all(|known| *known != key) && told().count() + about_to_be < MAX_KEYS {
                let columns = news.entry(rule.to_owned()).or_default();
                columns.generation = generation;
                columns.keys.insert(key.clone());
            }
        }
    }
}

/// The name of a column that is part of its table's primary key. A session's own tables are nobody else's affair.
fn key_column(snapshot: &Snapshot, id: ColumnId) -> Option<Named> {
    let relation = snapshot.relation(id.relation)?;
    let column = relation.columns.iter().find(|column| column.attnum == id.column)?;
    (relation.key.contains(&id.column) && !relation.schema.starts_with(TEMPORARY)).then(|| Named {
        schema: relation.schema.clone(),
        relation: relation.name.clone(),
        column: Some(column.name.clone()),
    })
}

#[cfg(test)]
mod tests {
    use sallyport_policy::columns::Columns;

    use super::*;

    const ID: ColumnId = ColumnId { relation: 7, column: 2 };

    fn entry(place: Place) -> Entry {
        Entry {
            place,
            rules: vec!["u".into()],
            own: false,
        }
    }

    #[test]
    fn what_is_kept_is_no_news() {
        let named = Place::Named(Named {
            schema: "public".into(),
            relation: "x".into(),
            column: None,
        });
        let entries = [entry(Place::Column(ID)), entry(named)];
        let news = unkept(&entries, &ByRule::new());
        assert!(news["u"].copied_into(ID) && news["u"].named.len() == 1);
        assert!(unkept(&entries, &news).is_empty());
        assert_eq!(entries_of(&news), entries[1..]);
    }

    #[test]
    fn a_copy_into_a_column_that_a_name_fits_is_news() {
        let mut columns = Columns {
            generation: 1,
            ..Columns::default()
        };
        columns.note_matched(ID);
        let kept = ByRule::from([("u".to_owned(), columns)]);
        assert!(unkept(&[entry(Place::Column(ID))], &kept)["u"].copied_into(ID));
    }
}
