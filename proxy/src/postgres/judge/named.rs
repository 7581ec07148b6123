//! What EXECUTE and FETCH name: statements that were prepared, and cursors.

use std::rc::Rc;

use sallyport_policy::catalog::{Catalog as _, Oid};
use sallyport_policy::decide::{Command, DeniedBy};
use sallyport_policy::sql::lineage::Lineage;
use sallyport_policy::sql::{Effect, Statement};

use super::Context;
use super::understand::{reject, resolve, trace};
use crate::command::{Asked, Kind};
use crate::postgres::handed;
use crate::postgres::names::{Names, Portal, Stated};
use crate::postgres::rows::View;

/// A statement that EXECUTE or FETCH names.
pub(super) struct Other {
    pub(super) stated: Stated,
    /// See [`Prepared::types`](crate::postgres::names::Prepared::types).
    types: Vec<u32>,
    /// How it was understood where the cursor was declared: what its names mean was settled there.
    pub(super) declared: Option<Rc<View>>,
}

impl Other {
    /// Whether what its names meant is not known, or no more.
    pub(super) fn is_lost(&self, context: &Context<'_>) -> bool {
        let unknown = |oid: &Oid| handed::is_yet_to_be(*oid) || context.known.snapshot.relation(*oid).is_none();
        self.declared.as_ref().is_some_and(|view| {
            let mut relations = view.lineages.iter().flat_map(|lineage| lineage.relations.iter());
            view.nameless || relations.any(unknown)
        })
    }

    /// Appends what it is, for the binding of the command that names it.
    pub(super) fn name(&self, bytes: &mut Vec<u8>) {
        let text = self
            .stated
            .statement()
            .map(|statement| statement.text(&self.stated.text));
        let text = text.unwrap_or_default();
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes.extend_from_slice(&(self.types.len() as u64).to_be_bytes());
        bytes.extend(self.types.iter().flat_map(|oid| oid.to_be_bytes()));
    }

    /// Where its values come from, by each reading; what it does goes into the command.
    fn follow(&self, context: &Context<'_>, definitions: bool, command: &mut Command) -> Vec<Lineage> {
        let Some(view) = &self.declared else {
            let traced = self.stated.readings().map(|reading| {
                command.absorb(reading);
                trace(context, reading, &self.types, definitions, command)
            });
            return traced.collect();
        };
        self.stated.readings().for_each(|reading| command.absorb(reading));
        let Some(statement) = self.stated.statement() else {
            return Vec::new();
        };
        let kept = view.lineages.iter().cloned();
        kept.map(|lineage| resolve(context, statement, lineage, definitions, command))
            .collect()
    }
}

/// The statements that EXECUTE and FETCH name.
pub(super) fn others(names: &Names, statement: &Statement, asked: &mut Asked) -> Vec<Other> {
    let mut others = Vec::new();
    for name in &statement.executes {
        match names.statement(name) {
            Some(prepared) => {
                let Some(stated) = prepared.stated.clone() else {
                    continue;
                };
                // PostgreSQL would do it, and its answer says nothing of what that changes: names, columns, a transaction.
                if !prepared.by_sql && !stated.is_data() {
                    let words = "what PREPARE does not prepare (transactions, definitions, settings, names) is run by its own text at this door, not by EXECUTE";
                    reject(asked, Kind::Denied, DeniedBy::Limit, words.to_owned());
                }
                others.push(Other {
                    stated,
                    types: prepared.types.clone(),
                    declared: None,
                });
            }
            None => {
                let words =
                    format!("prepared statement \"{name}\" does not exist, or was not prepared through this door");
                reject(asked, Kind::Unknown, DeniedBy::Limit, words);
            }
        }
    }
    for name in &statement.cursors {
        // What it names is looked up when it runs, which may be now, and was understood where it was bound.
        let looks_up_late = |portal: &Portal| portal.stated.as_ref().is_some_and(|stated| !stated.is_data());
        if names.portal(name).is_some_and(|portal| looks_up_late(&portal)) {
            let words = "a portal that does more than read and write rows is run by Execute at this door, not by FETCH";
            reject(asked, Kind::Denied, DeniedBy::Limit, words.to_owned());
        }
        let moved = names.portal(name).is_some_and(|portal| portal.moved.get());
        let cursor = names.cursor(name);
        let cursor = cursor.map(|(stated, view)| (stated, if moved { Rc::new(view.lost()) } else { view }));
        match cursor {
            Some((stated, view)) => others.push(Other {
                stated,
                types: Vec::new(),
                declared: Some(view),
            }),
            None => asked.command.opaque.push(format!("cursor {name}")),
        }
    }
    others
}

/// What EXECUTE and FETCH name is judged as if it stood there. The rows of EXECUTE and FETCH are those of what they name;
/// an EXPLAIN of one returns a plan. Gives what the answer comes from.
pub(super) fn with_named(
    context: &Context<'_>,
    statement: &Statement,
    mut own: Lineage,
    others: &[Other],
    definitions: bool,
    asked: &mut Asked,
) -> Vec<Lineage> {
    let answers = matches!(statement.effect, Effect::Execute { .. } | Effect::Fetch { .. });
    let mut answering = Vec::new();
    for traced in others
        .iter()
        .flat_map(|other| other.follow(context, definitions, &mut asked.command))
    {
        if answers {
            answering.push(traced);
        } else {
            own.absorb(traced);
        }
    }
    if answering.is_empty() { vec![own] } else { answering }
}
