//! Types that are not built in, as a mask sees them.

use std::collections::HashMap;

use sallyport_policy::catalog::Oid;
use sallyport_policy::mask::types::Class;

use super::number;
use crate::postgres::ask::{Row, text};

/// Domains are what they are over; what nobody can classify stays out, and is unknown to the mask.
pub(super) fn classes(rows: &[Row]) -> Option<HashMap<Oid, Class>> {
    let mut bases = HashMap::new();
    let mut classes = HashMap::new();
    for row in rows {
        let (oid, element) = (number(row, 0)?, number(row, 4)?);
        match (text(row, 1), text(row, 2)) {
            ("d", _) => {
                bases.insert(oid, number(row, 3)?);
            }
            ("c", _) => {
                classes.insert(oid, Class::Record);
            }
            // An enumeration's value is one of its labels: no mask's text is.
            ("e", _) => {
                classes.insert(oid, Class::Label);
            }
            // citext and its like are strings by category.
            ("b", "S") => {
                classes.insert(oid, Class::Text);
            }
            ("b", "A") if element != 0 => {
                classes.insert(oid, Class::Array(element));
            }
            ("r", _) => {
                number(row, 5).map(|subtype| classes.insert(oid, Class::Range(subtype)));
            }
            ("m", _) => {
                number(row, 5).map(|subtype| classes.insert(oid, Class::Multirange(subtype)));
            }
            _ => {}
        }
    }
    // Domains over domains end at a type; the bound is for a target that lies.
    for (domain, base) in &bases {
        let end = (0..64).try_fold(*base, |at, _| match bases.get(&at) {
            Some(next) => Ok(*next),
            None => Err(at),
        });
        if let Err(end) = end {
            let class = classes.get(&end).copied().unwrap_or_else(|| Class::of(end));
            classes.insert(*domain, class);
        }
    }
    Some(classes)
}
