//! From a RowDescription to a plan: which column is masked how.
//!
//! Three answers meet: where a column comes from (table OID and attribute number, as the target says), what flows into it
//! (lineage over the statement's tree and the catalog), and what its values look like (detectors, in the plan itself).

mod alike;
mod called;
mod copied;
mod held;
mod undisturbed;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;
use std::sync::{Arc, Weak};

use sallyport_policy::catalog::{Catalog as _, ColumnId};
use sallyport_policy::mask::types::Class;
use sallyport_policy::mask::{ColumnInfo, Format, Masker, RowPlan, RuleSet, Source};
use sallyport_policy::sql::Statement;
use sallyport_policy::sql::lineage::Lineage;

use super::after::{After, only_tells};
use super::catalog::{Footprint, Known};
use super::handed::is_yet_to_be;
use super::message::Field;
use super::names::Stated;

pub(super) use called::{calls_anew, may_call};

/// A description up to this many bytes, of some hundred columns, is kept with its plan: a session may have thousands of statements.
const MAX_KEPT: usize = 16 * 1024;

/// What is known of one statement's answer before it comes.
#[derive(Debug)]
pub struct View {
    /// The person's masker.
    pub masker: Arc<Masker>,
    /// The catalog by which the statement was judged.
    pub known: Arc<Known>,
    /// What flows where, by every reading of the text; empty where nothing is known.
    pub lineages: Vec<Lineage>,
    /// Whether it is not known what its names mean: then everything that is protected anywhere may flow into each value.
    pub nameless: bool,
    /// Whether code that nobody can see into stands anywhere in it.
    pub hidden: bool,
    /// Whether some of it is more than PostgreSQL's own that only tells.
    pub runs: bool,
    /// Whether such code runs as soon as the statement is parsed.
    pub runs_parsed: bool,
    /// Whether its answer may come in another encoding than UTF-8: code in it, or before it in the same unit, may choose one, which
    /// the target tells at the end of the unit.
    pub recoded: bool,
    /// Whether a protected column or code that nobody can see into stands anywhere in it: then its errors and notices say no
    /// more than their SQLSTATE does.
    pub guarded: bool,
    /// What its meaning hangs on, once somebody asked.
    footprint: OnceCell<Option<Arc<Footprint>>>,
    /// The plan that was made last: what is asked again is nearly always described again in the same way.
    last: RefCell<Option<Planned>>,
}

/// A plan, and what it was made of.
#[derive(Debug)]
struct Planned {
    /// Not held: an old catalog is large.
    known: Weak<Known>,
    /// The RowDescription.
    description: Vec<u8>,
    formats: Option<Vec<i16>>,
    plan: Rc<RowPlan>,
}

/// A relation that the catalog, as it was read, does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranger;

// === impl View ===

impl View {
    /// A view on an answer of which nothing is known.
    #[must_use]
    pub fn unknown(masker: Arc<Masker>, known: Arc<Known>) -> Self {
        let guarded = masker.acts();
        Self {
            masker,
            known,
            lineages: Vec::new(),
            nameless: false,
            hidden: true,
            runs: true,
            runs_parsed: false,
            recoded: true,
            guarded,
            footprint: OnceCell::new(),
            last: RefCell::default(),
        }
    }

    /// A view on a statement whose names may mean anything.
    #[must_use]
    pub fn nameless(masker: Arc<Masker>, known: Arc<Known>) -> Self {
        Self {
            nameless: true,
            ..Self::unknown(masker, known)
        }
    }

    /// A view on a statement, by its lineages.
    #[must_use]
    pub fn of(masker: Arc<Masker>, known: Arc<Known>, lineages: Vec<Lineage>) -> Self {
        let touches = |lineage: &Lineage| {
            !lineage.opaque.is_empty()
                || masker.protects(&lineage.touched_rules(&known.protected))
                || writes_protected(lineage, &masker, &known)
        };
        let guarded = masker.acts() && lineages.iter().any(touches);
        let hidden = lineages.iter().any(|lineage| !lineage.opaque.is_empty());
        let runs = runs_any(lineages.iter().flat_map(|lineage| &lineage.opaque));
        Self {
            lineages,
            hidden,
            runs,
            recoded: runs,
            guarded,
            ..Self::unknown(masker, known)
        }
    }

    /// Takes in what else of the statement nobody can see into.
    pub fn hide(&mut self, opaque: &[String]) {
        self.hidden |= !opaque.is_empty();
        self.runs |= runs_any(opaque);
        self.guarded |= self.masker.acts() && self.hidden;
    }

    /// What the meaning of the statement hangs on; `None` where that is the whole catalog. `after` follows from it.
    #[must_use]
    pub fn footprint(&self, stated: &Stated, after: &After) -> Option<Arc<Footprint>> {
        let found = self.footprint.get_or_init(|| self.trace(stated, after).map(Arc::new));
        found.clone()
    }

    /// The same, if somebody asked before.
    #[must_use]
    pub fn known_footprint(&self) -> Option<Arc<Footprint>> {
        self.footprint.get().cloned().flatten()
    }

    /// Says that the meaning of the statement hangs on more than its names.
    pub fn hang_on_all(&mut self) {
        self.footprint = OnceCell::from(None);
    }

    /// Only what does no more than read and write rows, and of which every name was followed, hangs on nothing but its names.
    fn trace(&self, stated: &Stated, after: &After) -> Option<Footprint> {
        let followed = |lineage: &Lineage| {
            let lost = lineage.unresolved.len() + lineage.lost.len() + lineage.opaque.len() + lineage.spilled.len();
            lost == 0 && lineage.created.is_none() && !lineage.ruled && !lineage.any
        };
        let alone = |statement: &Statement| {
            statement.is_data() && statement.executes.is_empty() && statement.cursors.is_empty()
        };
        let traced = !self.nameless && !self.hidden && !self.lineages.is_empty();
        let changes = after.stale.any() || after.moves || after.transaction.is_some();
        if !traced || changes || !self.lineages.iter().all(followed) || !stated.readings().all(alone) {
            return None;
        }
        let names: BTreeSet<&str> = stated.readings().flat_map(Statement::names).collect();
        let reached = self
            .lineages
            .iter()
            .flat_map(|lineage| lineage.relations.iter().copied());
        Footprint::new(&names, reached, &self.known)
    }

    /// Whether it is about relations, or may be.
    #[must_use]
    pub fn names_relations(&self) -> bool {
        self.lineages.is_empty() || self.lineages.iter().any(|lineage| !lineage.relations.is_empty())
    }

    /// What flows into column `index` of `count`.
    #[must_use]
    pub fn flows(&self, index: usize, count: usize) -> Source {
        if self.nameless {
            let rules = self.known.protected.all();
            return if rules.is_empty() {
                Source::Unknown
            } else {
                Source::Tainted(rules)
            };
        }
        let each = self
            .lineages
            .iter()
            .map(|lineage| lineage.source(index, count, &self.known.protected));
        each.reduce(joined).unwrap_or(Source::Unknown)
    }

    /// The view of whoever does not know what the names of the same statement mean.
    #[must_use]
    pub fn lost(&self) -> Self {
        Self::nameless(Arc::clone(&self.masker), Arc::clone(&self.known))
    }

    /// Whether a field comes from a relation that none of its names was taken for.
    fn is_misread(&self, fields: &[Field<'_>]) -> bool {
        let read = |oid: u32| self.lineages.iter().any(|lineage| lineage.relations.contains(&oid));
        // What is made in the same unit has no number yet, or no place in the catalog.
        let complete = || {
            self.lineages
                .iter()
                .all(|lineage| lineage.unresolved.is_empty() && !lineage.relations.iter().copied().any(is_yet_to_be))
        };
        let stray =
            |field: &Field<'_>| field.table != 0 && !read(field.table) && (self.known.has(field.table) || complete());
        !self.lineages.is_empty() && fields.iter().any(stray)
    }

    /// As [`View::plan`], which is made once for a description: `fields` are read from it.
    ///
    /// # Errors
    /// As there.
    pub fn planned(
        &self,
        known: &Arc<Known>,
        description: &[u8],
        fields: &[Field<'_>],
        formats: Option<&[i16]>,
    ) -> Result<Rc<RowPlan>, Stranger> {
        if let Some(last) = &*self.last.borrow()
            && std::ptr::eq(last.known.as_ptr(), Arc::as_ptr(known))
            && last.description == description
            && last.formats.as_deref() == formats
        {
            return Ok(Rc::clone(&last.plan));
        }
        let plan = Rc::new(self.plan(known, fields, formats)?);
        if description.len() <= MAX_KEPT {
            *self.last.borrow_mut() = Some(Planned {
                known: Arc::downgrade(known),
                description: description.to_vec(),
                formats: formats.map(<[i16]>::to_vec),
                plan: Rc::clone(&plan),
            });
        }
        Ok(plan)
    }

    /// The plan for rows with these fields. `formats` are those of Bind; without them, the description's own count.
    ///
    /// # Errors
    /// When a field comes from a relation that `known` does not hold: a newer catalog is needed.
    pub fn plan(&self, known: &Known, fields: &[Field<'_>], formats: Option<&[i16]>) -> Result<RowPlan, Stranger> {
        if self.is_misread(fields) {
            return self.lost().plan(known, fields, formats);
        }
        let mut columns = Vec::with_capacity(fields.len());
        for (index, field) in fields.iter().enumerate() {
            columns.push(self.column(known, (index, fields.len()), field, formats)?);
        }
        Ok(self.masker.plan_with(&columns, &known.types))
    }

    /// The same for a target that names a relation which the freshest catalog does not hold either: an uncommitted or
    /// temporary one. Its columns are of unknown source.
    #[must_use]
    pub fn plan_with_strangers(&self, known: &Known, fields: &[Field<'_>], formats: Option<&[i16]>) -> RowPlan {
        if self.is_misread(fields) {
            return self.lost().plan_with_strangers(known, fields, formats);
        }
        let column = |(index, field): (usize, &Field<'_>)| {
            self.column(known, (index, fields.len()), field, formats)
                .unwrap_or_else(|Stranger| {
                    let source = joined(self.flows(index, fields.len()), Source::Unknown);
                    info(known, field, format(index, field, formats), source)
                })
        };
        self.masker
            .plan_with(&fields.iter().enumerate().map(column).collect::<Vec<_>>(), &known.types)
    }

    fn column(
        &self,
        known: &Known,
        (index, count): (usize, usize),
        field: &Field<'_>,
        formats: Option<&[i16]>,
    ) -> Result<ColumnInfo, Stranger> {
        let flows = self.flows(index, count);
        let source = match origin(known, field)? {
            Some(rules) if rules.is_empty() && flows == Source::Unknown && is_counter(known, field) => Source::Plain,
            Some(rules) if rules.is_empty() => flows,
            Some(rules) => joined(flows, Source::Column(rules)),
            None => flows,
        };
        Ok(info(known, field, format(index, field, formats), source))
    }
}

fn runs_any<'a>(opaque: impl IntoIterator<Item = &'a String>) -> bool {
    !opaque.into_iter().all(|what| only_tells(what))
}

/// The rules that protect the stored column that a field is, if it is one.
fn origin(known: &Known, field: &Field<'_>) -> Result<Option<RuleSet>, Stranger> {
    if field.table == 0 {
        return Ok(None);
    }
    if !known.has(field.table) {
        return Err(Stranger);
    }
    let id = ColumnId {
        relation: field.table,
        column: field.column,
    };
    Ok(Some(known.protected.rules_of(id).cloned().unwrap_or_default()))
}

/// Whether a field is a number in one of the system's own views: a counter, not a value that somebody stored. Numbers out of
/// other code that nobody can see into are looked at, and a nine-digit counter would be taken for an SSN.
fn is_counter(known: &Known, field: &Field<'_>) -> bool {
    let system = known
        .snapshot
        .relation(field.table)
        .is_some_and(|relation| relation.schema == "pg_catalog");
    let number = matches!(
        Class::of(field.type_oid),
        Class::Int2 | Class::Int4 | Class::Int8 | Class::Float4 | Class::Float8
    );
    system && number
}

fn info(known: &Known, field: &Field<'_>, format: Format, source: Source) -> ColumnInfo {
    ColumnInfo {
        name: String::from_utf8_lossy(field.name).into_owned(),
        type_oid: field.type_oid,
        type_modifier: field.type_mod,
        format,
        source,
        class: known.class(field.type_oid),
    }
}

fn format(index: usize, field: &Field<'_>, formats: Option<&[i16]>) -> Format {
    let code = match formats {
        None => field.format,
        Some([]) => 0,
        Some([all]) => *all,
        Some(each) => each.get(index).copied().unwrap_or_default(),
    };
    if code == 1 { Format::Binary } else { Format::Text }
}

/// Joins two answers about one column. Rules add up; a stored column that nothing else flows into stays one, so that Hash
/// may apply to it.
fn joined(one: Source, other: Source) -> Source {
    match (one, other) {
        (Source::Column(mut a), Source::Column(b)) => {
            a.extend(&b);
            Source::Column(a)
        }
        (Source::Column(mut a) | Source::Tainted(mut a), Source::Column(b) | Source::Tainted(b)) => {
            a.extend(&b);
            Source::Tainted(a)
        }
        (known @ (Source::Column(_) | Source::Tainted(_)), _)
        | (_, known @ (Source::Column(_) | Source::Tainted(_))) => known,
        (Source::Plain, Source::Plain) => Source::Plain,
        _ => Source::Unknown,
    }
}

/// Whether a statement writes rows in which a protected column stands, whichever columns it names: an error about one quotes
/// all of it. A write to a view or a partitioned table goes to what is below.
fn writes_protected(lineage: &Lineage, masker: &Masker, known: &Known) -> bool {
    if lineage.written.is_empty() {
        return false;
    }
    let mut todo: Vec<u32> = lineage.written.union(&lineage.relations).copied().collect();
    let mut seen = HashSet::new();
    while let Some(oid) = todo.pop() {
        if seen.insert(oid) {
            if known.is_protected(oid, masker) {
                return true;
            }
            todo.extend(known.snapshot.children(oid));
        }
    }
    false
}

#[cfg(test)]
mod tests;
