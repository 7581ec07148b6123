//! One text, judged as a door would judge it, without a target: names mean what is declared, or a table of schema `public`.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use sallyport_crds::approval_policy::RuleAction;
use sallyport_policy::catalog::{Catalog as _, Column, Oid, Relation, SearchPath, Snapshot};
use sallyport_policy::columns::ByRule;
use sallyport_policy::decide::{Command, Decision, DeniedBy, Explanation, Parameter, Verdict};
use sallyport_policy::mask::{ProtectedColumns, RuleSet, Source};
use sallyport_policy::sql::{self, Lineage, Statement};
use sallyport_policy::{Policy, Subject};

/// PostgreSQL's `text`.
const TEXT: Oid = 25;
/// OIDs of users' own relations begin here.
const FIRST: Oid = 16_384;

/// What is known of a target: columns by `schema.table`.
pub type Tables = BTreeMap<String, Vec<String>>;

/// Everything but the text.
pub struct Asked<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// The person.
    pub subject: &'a Subject,
    /// What is known of the target.
    pub tables: &'a Tables,
    /// What a door said that it touches, as `schema.table`: what it names is among that.
    pub recorded: Option<&'a [String]>,
    /// The database.
    pub database: &'a str,
    /// The parameters that are bound.
    pub parameters: &'a [Parameter],
    /// The moment, in seconds since 1970.
    pub at: i64,
}

/// One statement with its verdict.
pub struct Judged {
    /// What the rules saw.
    pub command: Command,
    /// The verdict.
    pub decision: Decision,
    /// What each policy says.
    pub explanations: Vec<Explanation>,
    /// Output columns that are masked for this person, each with the rules that protect it and what each would do: the one
    /// that acts first.
    pub masked: Vec<(String, Vec<String>)>,
}

// === impl Asked ===

impl Asked<'_> {
    /// Schemas in which a relation of this name was recorded.
    fn recorded_as<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        let parts = self
            .recorded
            .unwrap_or_default()
            .iter()
            .filter_map(|table| table.split_once('.'));
        parts.filter(move |(_, table)| *table == name).map(|(schema, _)| schema)
    }

    /// Where names without a schema are looked up: in schemas of which something was recorded, then in `public`.
    fn path(&self) -> SearchPath {
        let mut schemas = vec!["pg_catalog".to_owned()];
        let recorded = self.recorded.unwrap_or_default().iter();
        let recorded = recorded
            .filter_map(|table| table.split_once('.'))
            .map(|(schema, _)| schema);
        for schema in recorded.chain(["public"]) {
            if !schemas.iter().any(|known| known == schema) {
                schemas.push(schema.to_owned());
            }
        }
        SearchPath::effective(schemas, None)
    }
}

/// Judges every statement of a text.
///
/// # Errors
/// PostgreSQL's own words where it does not parse; that a name cannot be told apart among the recorded ones.
pub fn judge(asked: &Asked<'_>, text: &str) -> Result<Vec<Judged>> {
    let script = sql::parse(text).map_err(|error| anyhow!("it does not parse: {}", error.message))?;
    let all: Vec<&Statement> = script.readings().flatten().collect();
    let names = all.iter().flat_map(|statement| &statement.relations);
    let mut bare = names.filter(|relation| relation.schema.is_none());
    if let Some(twice) = bare.find(|relation| asked.recorded_as(&relation.name).count() > 1) {
        bail!(
            "the record names {} in several schemas, and the text in none",
            twice.name
        );
    }
    let catalog = catalog(asked, &all);
    let protected = ProtectedColumns::resolve(asked.policy.masks().rules(), &catalog, None, &ByRule::new());
    let mut judged = Vec::new();
    for index in 0..script.statements.len() {
        let readings: Vec<&Statement> = script.readings().filter_map(|reading| reading.get(index)).collect();
        judged.push(statement(asked, text, &readings, &catalog, &protected));
    }
    Ok(judged)
}

fn statement(
    asked: &Asked<'_>,
    text: &str,
    readings: &[&Statement],
    catalog: &Snapshot,
    protected: &ProtectedColumns,
) -> Judged {
    let path = asked.path();
    let mut command = Command::default();
    let mut masked = Vec::new();
    for (number, reading) in readings.iter().enumerate() {
        match number {
            0 => command = Command::of(reading, text),
            _ => command.absorb(reading),
        }
        let mut lineage = sql::lineage(reading, catalog, &path);
        // Of a table whose columns nobody declared, `t.c` is a column and not a call of c(t).
        if catalog.relations().any(|relation| relation.columns.is_empty()) {
            lineage
                .opaque
                .retain(|what| !what.starts_with("function ") || reading.opaque.contains(what));
        }
        command.resolve(reading, &lineage, catalog, &path, protected);
        if masked.is_empty() {
            masked = columns(asked, &lineage, protected);
        }
    }
    asked.database.clone_into(&mut command.database);
    command.ambiguous = readings.len() > 1;
    command.parameters = asked.parameters.len();
    command.values = asked.parameters.to_vec();
    command.at = asked.at;
    if let Some(recorded) = asked.recorded {
        command.tables = recorded.to_vec();
    }
    Judged {
        decision: asked.policy.decide(asked.subject, &command),
        explanations: asked.policy.explain(asked.subject, &command),
        command,
        masked,
    }
}

/// Output columns that some rule masks for the person.
fn columns(asked: &Asked<'_>, lineage: &Lineage, protected: &ProtectedColumns) -> Vec<(String, Vec<String>)> {
    let exempt = asked.policy.exempt(asked.subject);
    let outputs = lineage.outputs.as_deref().unwrap_or_default();
    let named = |rules: &RuleSet, stored: bool| -> Vec<String> {
        let acting = rules.iter().filter(|id| !exempt.contains(*id));
        let rules = acting.filter_map(|id| asked.policy.masks().rules().get(usize::from(id)));
        let mut rules: Vec<_> = rules
            .filter(|rule| !rule.observe)
            .map(|rule| (rule.action.on_column(stored), &rule.name))
            .collect();
        // Of equally strong ones the first acts.
        rules.sort_by_key(|(action, _)| action.rank());
        let told = rules.iter().map(|(action, name)| format!("{name} ({})", action.name()));
        told.collect()
    };
    let mut masked = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let names = match lineage.source(index, outputs.len(), protected) {
            Source::Column(rules) => named(&rules, true),
            Source::Tainted(rules) => named(&rules, false),
            Source::Plain | Source::Unknown => Vec::new(),
        };
        if !names.is_empty() {
            masked.push((output.name.clone(), names));
        }
    }
    masked
}

/// What is declared, what masking rules name in full, and what the statements name.
fn catalog(asked: &Asked<'_>, statements: &[&Statement]) -> Snapshot {
    let mut tables = asked.tables.clone();
    for table in asked.recorded.unwrap_or_default() {
        tables.entry(table.clone()).or_default();
    }
    for rule in asked.policy.masks().rules() {
        for glob in &rule.columns {
            let glob = glob.to_string();
            // A table that is declared has the columns that are declared.
            let partly = |(table, _): &(&str, &str)| !glob.contains('*') && !asked.tables.contains_key(*table);
            // What was not touched then is not what a name means.
            let touched = |(table, _): &(&str, &str)| asked.recorded.is_none() || tables.contains_key(*table);
            if let Some((table, column)) = glob.rsplit_once('.').filter(partly).filter(touched) {
                let columns = tables.entry(table.to_owned()).or_default();
                if !columns.iter().any(|known| known == column) {
                    columns.push(column.to_owned());
                }
            }
        }
    }
    for relation in statements.iter().flat_map(|statement| &statement.relations) {
        let schema = match &relation.schema {
            Some(schema) => schema.as_str(),
            None if asked.recorded_as(&relation.name).next().is_some() => continue,
            None => "public",
        };
        tables.entry(format!("{schema}.{}", relation.name)).or_default();
    }
    let relations = (FIRST..).zip(&tables).filter_map(|(oid, (name, columns))| {
        let (schema, name) = name.split_once('.')?;
        let columns = (1..).zip(columns).map(|(attnum, name)| Column {
            attnum,
            name: name.clone(),
            type_oid: TEXT,
            generated: None,
        });
        Some(Relation {
            oid,
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns: columns.collect(),
            ..Relation::default()
        })
    });
    Snapshot::new(relations.collect())
}

/// Why somebody would not come in with their agents, in words; `None` where they would. What tokens say stands in no manifest.
/// `named`: the person's own names all the agents.
pub fn kept_out(policy: &Policy, subject: &Subject, named: bool) -> Option<String> {
    let who = &subject.username;
    if !policy.admits(subject) {
        let words = "would not come in: spec.subjects of the Connection names neither them nor a group of theirs";
        return Some(format!("{who} {words}"));
    }
    // One agent may come with a token of its own; a chain is only ever what a token says.
    let listed = match subject.agents.as_slice() {
        [] => true,
        [agent] => policy.may_act_for(agent, subject),
        _ => false,
    };
    let agents: Vec<&str> = subject.agents.iter().map(|agent| agent.username.as_str()).collect();
    (!listed && !named).then(|| {
        format!(
            "{who} would not come in through {}, unless by a token that says so itself (act, may_act): spec.agents of the Connection does not",
            agents.join(", ")
        )
    })
}

/// What a verdict does, in the word that manifests use.
pub fn action(verdict: &Verdict) -> RuleAction {
    match verdict {
        Verdict::Allow(_) => RuleAction::Allow,
        Verdict::Hold(_) => RuleAction::RequireApproval,
        Verdict::Deny(_) => RuleAction::Deny,
    }
}

/// The rules that decided, as `policy/rule`, sorted; empty where no rule matches or the door itself refuses.
pub fn rules(verdict: &Verdict) -> Vec<String> {
    let identities: Vec<_> = match verdict {
        Verdict::Allow(allowed) => allowed.by.iter().collect(),
        Verdict::Hold(hold) => hold.requirements.iter().map(|one| &one.asked_by).collect(),
        Verdict::Deny(denial) => match &denial.by {
            DeniedBy::Rule(rule) => vec![rule],
            _ => Vec::new(),
        },
    };
    let mut names: Vec<String> = identities
        .iter()
        .map(|rule| format!("{}/{}", rule.policy, rule.rule))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Of several statements, the one that decides about all of them.
pub fn strictest(judged: &[Judged]) -> Option<&Judged> {
    judged.iter().rev().max_by_key(|one| action(&one.decision.verdict))
}
