//! What sessions dial, and what they show there: what a target refused of another says nothing of it.

use std::sync::Arc;

use sallyport_crds::connection::Target;
use sallyport_policy::carrier::Carrier;

use crate::control::materials::{SecretObject, Secrets};

/// A target, the databases that are offered there, and the Secret by which it knows the door.
#[derive(Clone, PartialEq)]
pub(super) struct Way {
    target: Target,
    databases: Vec<String>,
    secret: Option<Arc<SecretObject>>,
}

// === impl Way ===

impl Way {
    /// The way that a carrier and Secrets give.
    pub(super) fn of(carrier: &Carrier, secrets: &Secrets) -> Self {
        let spec = &carrier.connection.spec;
        let offered = spec.postgresql.as_ref();
        Self {
            target: spec.target.clone(),
            databases: offered
                .map(|postgresql| postgresql.databases.clone())
                .unwrap_or_default(),
            secret: secrets.get(&spec.credentials_ref.name).cloned().flatten(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::sample;

    #[test]
    fn it_is_another_where_target_databases_or_secret_are() {
        let (carrier, secrets) = sample();
        let way = |change: &dyn Fn(&mut Carrier, &mut Secrets)| {
            let (mut carrier, mut secrets) = (carrier.clone(), secrets.clone());
            change(&mut carrier, &mut secrets);
            Way::of(&carrier, &secrets)
        };
        let before = way(&|_, _| ());
        let ruled = way(&|carrier, secrets| {
            carrier.revision += 1;
            carrier.masking_rules.clear();
            secrets.remove("hash-key");
        });
        assert!(before == ruled, "rules are nothing that a target sees");
        let changes: [&dyn Fn(&mut Carrier, &mut Secrets); 3] = [
            &|carrier, _| carrier.connection.spec.target.port += 1,
            &|carrier, _| {
                let offered = carrier.connection.spec.postgresql.get_or_insert_default();
                offered.databases.push("more".to_owned());
            },
            &|_, secrets| drop(secrets.insert("bank-credentials".to_owned(), None)),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(before != way(change), "{number}");
        }
    }
}
