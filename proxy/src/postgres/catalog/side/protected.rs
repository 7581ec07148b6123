//! What a policy protects in a catalog that was read.

use std::sync::Arc;

use sallyport_policy::Policy;
use sallyport_policy::mask::{ProtectedColumns, fits};

use super::Side;
use crate::door::Columns;
use crate::postgres::ask::text;
use crate::postgres::catalog::Known;
use crate::postgres::handed::{self, MAX_ENTRIES};

impl Side {
    /// The position at which sessions may take what is known without asking here.
    fn published(&self) -> &str {
        match self.lacking {
            Some(_) => "",
            None => &self.position,
        }
    }

    /// What a policy protects in the present snapshot, resolved once for each revision and snapshot.
    pub(super) fn known(&mut self, policy: &Arc<Policy>, columns: &Arc<dyn Columns>) -> Arc<Known> {
        let latest = Arc::clone(&self.latest);
        let mut list = latest.handed();
        if let Some((version, entries, known)) = &self.known
            && *version == self.version
            && *entries == list.len()
            && known.revision == policy.revision()
        {
            self.latest.publish(self.published(), list.len(), known);
            return Arc::clone(known);
        }
        let kept = policy.columns(&self.database);
        for entry in handed::entries_of(kept) {
            if !list.contains(&entry) {
                list.push(entry);
            }
        }
        let before = self.protected.as_deref();
        let mut protected = ProtectedColumns::resolve(policy.masks().rules(), &*self.snapshot, before, kept);
        for entry in handed::apply(&list, &mut protected, &self.snapshot) {
            if list.len() < MAX_ENTRIES && !list.contains(&entry) {
                list.push(entry);
            }
        }
        handed::materialised(&mut protected, &self.snapshot);
        let mut news = handed::unkept(&list, kept);
        handed::matched(&protected, kept, &list, &mut news);
        handed::keys(&protected, kept, &self.snapshot, &mut news);
        self.telling.tell(columns, news, policy);
        self.fits = Arc::new(fits(policy.masks().rules(), &*self.snapshot));
        let known = Arc::new(Known {
            snapshot: Arc::clone(&self.snapshot),
            types: Arc::clone(&self.types),
            protected: Arc::new(protected),
            rows: Arc::clone(&self.rows),
            schemas: text(&self.digest, 0).into(),
            revision: policy.revision(),
        });
        self.latest.publish(self.published(), list.len(), &known);
        self.known = Some((self.version, list.len(), Arc::clone(&known)));
        self.protected = Some(Arc::clone(&known.protected));
        known
    }
}
