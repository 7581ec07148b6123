//! One statement with its parameters.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use sallyport_policy::catalog::{Catalog as _, Oid, SearchPath};
use sallyport_policy::decide::{Command, Denial, DeniedBy};
use sallyport_policy::sql::lineage::Lineage;
use sallyport_policy::sql::{Cover, Digest, Effect, Statement, Verb, lineage, other_encoding, unreadable_copy};

use super::hazard::Hazard;
use super::kept::{any_looks_up, prepares};
use super::named::{others, with_named};
use super::nameless::is_nameless;
use super::unfold::{MAX_MADE, Unfolding};
use super::{Context, remembered, strict, types};
use crate::command::{Asked, Kind, Rejection};
use crate::postgres::after::{self, After, runs_parsed};
use crate::postgres::names::{Change, Names, Stated};
use crate::postgres::rows::View;

/// Verbs of what computes values, and so may call code.
const RUNS: [Verb; 7] = [
    Verb::Select,
    Verb::Insert,
    Verb::Update,
    Verb::Delete,
    Verb::Merge,
    Verb::CopyFrom,
    Verb::CopyTo,
];

/// Why nothing more is prepared or opened.
pub(super) const FULL: &str = "too many prepared statements, portals and cursors are open in this session";

/// How names are looked up where nobody knows.
static SYSTEM: LazyLock<SearchPath> = LazyLock::new(SearchPath::system);

/// A statement, as the rules and the mask have to know it.
#[derive(Clone)]
pub struct Understood {
    /// What is decided about.
    pub asked: Asked,
    /// How its answer is masked.
    pub view: Rc<View>,
    /// The statement.
    pub stated: Stated,
    /// What follows when it ran.
    pub after: After,
    /// Names that it changes.
    pub change: Option<Change>,
}

/// Understands one statement as if it were sent by itself.
pub fn understand_alone(context: &Context<'_>, names: &Names, stated: &Stated) -> Understood {
    understand_anew(context, names, stated, &[], &Unfolding::default())
}

/// Understands one statement. `types`: those that the client states for its parameters. `before`: what earlier statements of the
/// same unit change.
pub fn understand(
    context: &Context<'_>,
    names: &Names,
    stated: &Stated,
    types: &[u32],
    before: &Unfolding,
) -> Understood {
    let computed = behind_arguments(context, stated, before);
    let before = computed.as_ref().unwrap_or(before);
    let kept = any_looks_up(context, names, stated, before).then(|| before.with(Hazard::Kept));
    let before = kept.as_ref().unwrap_or(before);
    let mut understood = meant(context, names, stated, types, before);
    prepares(context, understood.change.as_ref(), before);
    if understood.change.as_ref().is_some_and(Change::opens) && !names.has_room() {
        reject(&mut understood.asked, Kind::Denied, DeniedBy::Limit, FULL.to_owned());
    }
    leaves_behind(context, stated, before, &mut understood);
    let command = &mut understood.asked.command;
    // Tools that put back the role that they found set the one that it is. A definition would set it for others.
    if command.verbs.within(&[Verb::Set]) {
        command
            .denied
            .retain(|denied| denied.role.as_deref() != Some(context.role));
    }
    // The target reads the rest of its rows when the transaction commits, behind any savepoint.
    let is_kept = |statement: &Statement| matches!(statement.effect, Effect::Declare { hold: true, .. });
    if stated.readings().any(is_kept) && !(command.reads && command.hidden().is_empty()) {
        understood.asked.unguarded = Some(
            "a rule runs this read-only, and a cursor WITH HOLD would call its code when the transaction commits: leave WITH HOLD away",
        );
    }
    let text = stated.statement().map(|statement| statement.text(&stated.text));
    // What was understood of another text that means the same does not say what stands in this one.
    let readings: Vec<&Statement> = stated.readings().collect();
    let asked = &mut understood.asked;
    let back = context
        .guard()
        .put_back(&readings, text.unwrap_or_default(), &asked.command);
    refuse(asked, back);
    understood
}

/// Refuses what would leave values where no mask follows, and is not held to what it is looked at by until it runs.
fn leaves_behind(context: &Context<'_>, stated: &Stated, before: &Unfolding, understood: &mut Understood) {
    let view = &understood.view;
    // Where the statements of a text end is not certain, or it would run code of a type to hold it.
    let parted = stated.script.is_ambiguous() && stated.script.statements.len() > 1;
    let loose = before.lasts() || parted || view.runs_parsed;
    if loose && view.sinks() {
        let refused = context
            .guard()
            .left_behind(&view.lineages, |oid| before.is_own(oid, context));
        refuse(&mut understood.asked, refused);
    }
}

/// What is known where EXECUTE has the names of another statement looked up: its arguments are computed by then, and may have led
/// names elsewhere, or changed what they mean. `None` where they do neither.
fn behind_arguments(context: &Context<'_>, stated: &Stated, before: &Unfolding) -> Option<Unfolding> {
    if stated.readings().all(|statement| statement.executes.is_empty()) {
        return None;
    }
    let mut own = command(context, stated);
    for statement in stated.readings() {
        trace(context, statement, &[], before.has(Hazard::Relations), &mut own);
    }
    let after = After::of(stated.readings(), &own);
    let moved = [Hazard::Names, Hazard::Path].into_iter().filter(|_| after.moves);
    let unseen = [
        Hazard::Relations,
        Hazard::Names,
        Hazard::Places,
        Hazard::Ways,
        Hazard::Encoding,
    ];
    let unseen = unseen.into_iter().filter(|_| after.stale.names);
    let mut raised = moved.chain(unseen).peekable();
    raised.peek()?;
    let mut behind = before.clone();
    raised.for_each(|hazard| behind.raise(hazard));
    Some(behind)
}

fn meant(context: &Context<'_>, names: &Names, stated: &Stated, types: &[u32], before: &Unfolding) -> Understood {
    // What is remembered is what the text means, whatever is stated beside it, where nothing ran before it.
    if !context.shared || context.unsettled || !before.is_nothing() || types::any_hangs_on_more(types, context.known) {
        return understand_anew(context, names, stated, types, before);
    }
    remembered::find(context, stated).unwrap_or_else(|| {
        let understood = understand_anew(context, names, stated, types, before);
        remembered::keep(context, stated, &understood);
        understood
    })
}

fn understand_anew(
    context: &Context<'_>,
    names: &Names,
    stated: &Stated,
    types: &[u32],
    before: &Unfolding,
) -> Understood {
    let definitions = before.has(Hazard::Relations);
    let mut asked = Asked::new(command(context, stated));
    let (mut lineages, mut lost) = (Vec::new(), false);
    // What EXECUTE names looks its own names up when it runs; a cursor did where it was declared.
    let mut looking_up = vec![stated.clone()];
    for statement in stated.readings() {
        let own = trace(context, statement, types, definitions, &mut asked.command);
        let others = others(names, statement, &mut asked);
        others.iter().for_each(|other| other.name(&mut asked.named));
        lost |= others.iter().any(|other| other.is_lost(context));
        if before.has(Hazard::Executed) && !statement.executes.is_empty() {
            lost = true;
            asked
                .command
                .opaque
                .push("what EXECUTE names behind earlier statements".to_owned());
        }
        let executed = others.iter().filter(|other| other.declared.is_none());
        looking_up.extend(executed.map(|other| other.stated.clone()));
        lineages.extend(with_named(context, statement, own, &others, definitions, &mut asked));
        encoding(statement, &mut asked);
        // Code that nobody sees into may have prepared what it executes.
        let named = others.iter().flat_map(|other| other.stated.readings());
        named.for_each(|named| encoding(named, &mut asked));
    }
    if before.carries_on(&asked.command) {
        let beyond = "what hangs on its tables behind earlier statements";
        asked.command.reach_beyond(Some(beyond));
    }
    // What was made in front of it may hang on what it drops, and no catalog tells.
    let untold = stated
        .readings()
        .find(|statement| statement.cascades() && !before.is_nothing());
    if let Some(statement) = untold {
        asked.command.reach_beyond(statement.beyond);
    }
    fresh_code(context, stated, before, &mut asked);
    crowd(&lineages, before, &mut asked);
    let statements: Vec<&Statement> = stated.readings().collect();
    let refused = context.guard().refusal(&statements, &lineages, &asked.command.opaque);
    refuse(&mut asked, refused);
    // What is executed may look its names up anew.
    let run = looking_up.iter().flat_map(Stated::readings);
    let pinned = context.guard().pinned(run, before.is_nothing());
    refuse(&mut asked, pinned);
    if lost {
        strict::nameless(context, &mut asked);
    }
    let nameless = is_nameless(context, &looking_up, &lineages, before, &mut asked) || lost;
    let mut after = After::of(stated.readings(), &asked.command);
    after.read_through(&lineages, &context.known.snapshot);
    asked.cover = Cover::of(
        &statements,
        &stated.text,
        &lineages,
        &*context.known.snapshot,
        &context.known.protected,
        nameless,
    );
    asked.meaning = meaning(context, &lineages);
    let (masker, known) = (Arc::clone(context.masker), Arc::clone(context.known));
    let mut view = match nameless {
        false => View::of(masker, known, lineages),
        true => View::nameless(masker, known),
    };
    view.hide(&asked.command.opaque);
    view.runs_parsed = runs_parsed(stated, &asked.command.opaque);
    view.recoded = view.runs || context.unsettled || before.has(Hazard::Encoding);
    if types::any_hangs_on_more(types, context.known) {
        view.hang_on_all();
    }
    let view = Rc::new(view);
    Understood {
        asked,
        change: after::change(stated, &view),
        view,
        stated: stated.clone(),
        after,
    }
}

fn command(context: &Context<'_>, stated: &Stated) -> Command {
    let mut readings = stated.readings();
    let mut command = readings
        .next()
        .map_or_else(Command::default, |statement| Command::of(statement, &stated.text));
    for other in readings {
        command.absorb(other);
    }
    command.database = context.database.to_owned();
    command.ambiguous = stated.script.is_ambiguous();
    command.in_transaction = context.in_transaction;
    command.at = context.at;
    command
}

/// Follows the values of a statement, and puts what its names mean into the command, with what its parameters run.
pub(super) fn trace(
    context: &Context<'_>,
    statement: &Statement,
    types: &[u32],
    definitions: bool,
    command: &mut Command,
) -> Lineage {
    let mut traced = lineage(statement, &*context.known.snapshot, context.path.unwrap_or(&SYSTEM));
    let hidden = types::opaque(types, context.known.snapshot.code());
    traced.opaque.extend(hidden);
    resolve(context, statement, traced, definitions, command)
}

/// Puts what a statement's names mean into the command.
pub(super) fn resolve(
    context: &Context<'_>,
    statement: &Statement,
    mut traced: Lineage,
    definitions: bool,
    command: &mut Command,
) -> Lineage {
    let (catalog, path) = (&*context.known.snapshot, context.path.unwrap_or(&SYSTEM));
    command.resolve(statement, &traced, catalog, path, &context.known.protected);
    command.expect(&traced, catalog, &context.known.rows);
    // A relation that a fresh catalog does not hold does not exist, and the target will say so; unless it is made on the
    // way, or nobody knows how names are looked up.
    if context.path.is_some() && !definitions {
        traced.spilled.clear();
        command.trust_cascade(&traced);
        let strangers: Vec<String> = statement
            .relations
            .iter()
            .map(|name| format!("relation {name}"))
            .collect();
        command.keep_opaque(|what| !strangers.iter().any(|stranger| stranger == what));
    }
    traced
}

fn encoding(statement: &Statement, asked: &mut Asked) {
    if let Some(words) = other_encoding(statement).or_else(|| unreadable_copy(statement)) {
        reject(asked, Kind::Setting, DeniedBy::Limit, words.to_owned());
    }
}

pub(super) fn reject(asked: &mut Asked, kind: Kind, by: DeniedBy, reason: String) {
    asked.refused.get_or_insert(Rejection {
        kind,
        denial: Denial { by, reason },
    });
}

/// Refuses what masking rules do.
pub(super) fn refuse(asked: &mut Asked, denial: Option<Denial>) {
    if let Some(denial) = denial {
        reject(asked, Kind::Denied, denial.by, denial.reason);
    }
}

/// Code that was made earlier in the same unit may be what any name calls, or run behind any table: no catalog knows it yet.
fn fresh_code(context: &Context<'_>, stated: &Stated, before: &Unfolding, asked: &mut Asked) {
    let runs = stated
        .readings()
        .any(|statement| statement.verbs.any(&RUNS) || !statement.executes.is_empty());
    // Where no code was made, a name can be given to another without any of it running.
    let quiet = |statement: &Statement| statement.only_renames() && !before.has(Hazard::Calls);
    let defines = stated
        .readings()
        .any(|statement| statement.verbs.any(&[Verb::Create, Verb::Alter]) && !quiet(statement));
    if before.has(Hazard::Calls) && runs {
        asked.command.opaque.push("code of the same unit".to_owned());
        asked.command.read_only = false;
    }
    let unseen = stated.readings().any(|statement| before.runs_unseen(statement));
    if unseen || before.has(Hazard::Code) && (runs || defines) {
        strict::nameless(context, asked);
    }
}

/// What a unit makes beyond its limit, statements behind it would take for something else.
fn crowd(lineages: &[Lineage], before: &Unfolding, asked: &mut Asked) {
    if before.is_full() && lineages.iter().any(|lineage| lineage.created.is_some()) {
        let words =
            format!("a unit makes at most {MAX_MADE} tables and views at this door: send the statements in several");
        reject(asked, Kind::Denied, DeniedBy::Limit, words);
    }
}

/// What else the meaning of the text hangs on: which relations its names are, what their columns are called, which partitions and
/// children they have, what views are defined as, how names are looked up.
fn meaning(context: &Context<'_>, lineages: &[Lineage]) -> Vec<u8> {
    let catalog = &context.known.snapshot;
    let mut bytes = Vec::new();
    let mut part = |text: &[u8]| {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text);
    };
    for schema in context.path.map(SearchPath::schemas).unwrap_or_default() {
        part(schema.as_bytes());
    }
    let named: BTreeSet<Oid> = lineages
        .iter()
        .flat_map(|lineage| lineage.relations.iter().copied())
        .collect();
    let mut all = named.clone();
    let mut todo: Vec<Oid> = named.iter().copied().collect();
    while let Some(oid) = todo.pop() {
        let children = catalog.children(oid).iter().copied();
        todo.extend(children.filter(|child| all.insert(*child)));
    }
    for oid in all {
        part(&oid.to_be_bytes());
        let Some(relation) = catalog.relation(oid).filter(|_| named.contains(&oid)) else {
            continue;
        };
        part(&(relation.columns.len() as u64).to_be_bytes());
        for column in &relation.columns {
            part(column.name.as_bytes());
            part(&column.attnum.to_be_bytes());
            part(&column.type_oid.to_be_bytes());
        }
        if let Some(definition) = &relation.definition {
            part(definition.as_bytes());
        }
    }
    for name in lineages.iter().flat_map(|lineage| lineage.unresolved.iter()) {
        part(name.as_bytes());
    }
    for taken in lineages.iter().filter_map(|lineage| lineage.taken.as_ref()) {
        part(b"cascade");
        taken.relations.iter().for_each(|oid| part(&oid.to_be_bytes()));
        for column in &taken.columns {
            part(&column.relation.to_be_bytes());
            part(&column.column.to_be_bytes());
        }
    }
    Digest::of(&bytes).0.to_vec()
}
