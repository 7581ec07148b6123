//! What others define beside a transaction that defines something itself.

use std::collections::HashMap;

use sallyport_policy::catalog::{Catalog as _, Oid, Relation, Snapshot};

/// Brings what a transaction saw up to what others did since: the target looks names up in what is committed by then, and a transaction
/// that waited for their locks finds it. `beside`: what all saw before it was asked; `shared`: what they see now. What it changed itself
/// nobody else could change.
pub(super) fn catch_up(own: &mut Vec<Relation>, beside: &Snapshot, shared: &Snapshot) {
    // PostgreSQL's own are the same for all.
    let defined = |one: &&Relation| !one.is_built_in() && beside.relation(one.oid) != Some(*one);
    let news: HashMap<Oid, &Relation> = shared.relations().filter(defined).map(|one| (one.oid, one)).collect();
    let gone = |oid: Oid| beside.relation(oid).is_some() && shared.relation(oid).is_none();
    own.retain(|one| !gone(one.oid) && !news.contains_key(&one.oid));
    own.extend(news.into_values().cloned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(oid: Oid, version: &str) -> Relation {
        Relation {
            oid,
            schema: "public".to_owned(),
            name: format!("r{oid}"),
            version: version.to_owned(),
            ..Relation::default()
        }
    }

    #[test]
    fn what_others_defined_since_is_seen_and_what_was_defined_here_stays() {
        let (changed, kept, theirs, dropped) = (20_001, 20_002, 20_003, 20_004);
        let before = [changed, kept, theirs, dropped].map(|oid| relation(oid, "1"));
        let mut own: Vec<Relation> = before.to_vec();
        own[0] = relation(changed, "own");
        own.push(relation(20_005, "own"));
        let shared = vec![
            relation(changed, "1"),
            relation(kept, "1"),
            relation(theirs, "2"),
            relation(20_006, "1"),
        ];
        catch_up(&mut own, &Snapshot::new(before.to_vec()), &Snapshot::new(shared));
        let mut found: Vec<_> = own.iter().map(|one| (one.oid, one.version.as_str())).collect();
        found.sort_unstable();
        let expected = [
            (changed, "own"),
            (kept, "1"),
            (theirs, "2"),
            (20_005, "own"),
            (20_006, "1"),
        ];
        assert_eq!(found, expected);
    }
}
