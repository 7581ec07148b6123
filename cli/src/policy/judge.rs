//! One text, judged as a door would judge it, without a target: names mean what they seem to.

use anyhow::{Result, anyhow, bail};
use sallyport_crds::approval_policy::RuleAction;
use sallyport_policy::catalog::Snapshot;
use sallyport_policy::columns::ByRule;
use sallyport_policy::decide::{Command, Decision, Denial, DeniedBy, Explanation, Parameter, Verdict};
use sallyport_policy::guard::Guard;
use sallyport_policy::mask::{ProtectedColumns, RuleSet, Source};
use sallyport_policy::sql::{self, Lineage, Statement};
use sallyport_policy::{Policy, Subject};

pub use super::target::Tables;
use super::target::Target;

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
    /// What is refused whatever policies say: the verdict then.
    pub refused: Option<Denial>,
    /// What is refused if something is behind it that cannot be seen into and that the text does not tell.
    pub refused_unseen: Option<Denial>,
    /// Whether the door recorded more tables than it names: those behind a view, partitions, rows that follow.
    pub reaches_more: bool,
    /// What the verdict hangs on beside what is known here, in words: a door that finds it otherwise may be stricter.
    pub provided: Vec<String>,
}

// === impl Asked ===

impl Asked<'_> {
    fn target(&self) -> Target<'_> {
        Target {
            declared: self.tables,
            recorded: self.recorded,
        }
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
    let target = asked.target();
    if let Some(twice) = bare.find(|relation| target.recorded_as(&relation.name).count() > 1) {
        bail!(
            "the record names {} in several schemas, and the text in none",
            twice.name
        );
    }
    let catalog = target.catalog(asked.policy, &all);
    let protected = ProtectedColumns::resolve(asked.policy.masks().rules(), &catalog, None, &ByRule::new());
    let mut judged = Vec::new();
    for index in 0..script.statements.len() {
        let readings: Vec<&Statement> = script.readings().filter_map(|reading| reading.get(index)).collect();
        let mut one = statement(asked, text, &readings, &catalog, &protected);
        let earlier = script.readings().filter_map(|reading| reading.get(..index)).flatten();
        one.provided = provided(asked, &readings, &earlier.collect::<Vec<_>>());
        one.refused = one.refused.or_else(|| script.uncounted().map(limit));
        if let Some(denial) = &one.refused {
            one.decision.verdict = Verdict::Deny(denial.clone());
        }
        judged.push(one);
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
    let path = asked.target().path();
    let mut command = Command::default();
    let mut masked = Vec::new();
    let mut lineages = Vec::new();
    for (number, reading) in readings.iter().enumerate() {
        match number {
            0 => command = Command::of(reading, text),
            _ => command.absorb(reading),
        }
        let lineage = sql::lineage(reading, catalog, &path);
        command.resolve(reading, &lineage, catalog, &path, protected);
        if masked.is_empty() {
            masked = columns(asked, &lineage, protected);
        }
        lineages.push(lineage);
    }
    asked.database.clone_into(&mut command.database);
    command.ambiguous = readings.len() > 1;
    command.parameters = asked.parameters.len();
    command.values = asked.parameters.to_vec();
    command.at = asked.at;
    let recorded = asked.recorded.unwrap_or_default();
    let reaches_more = recorded.iter().any(|table| !command.tables.contains(table));
    if asked.recorded.is_some() {
        command.tables = recorded.to_vec();
    }
    let masker = asked.policy.masker(asked.subject);
    let guard = Guard {
        policy: asked.policy,
        subject: asked.subject,
        masker: &masker,
        catalog,
        protected,
    };
    let mut more = command.clone();
    more.opaque.push("code that the text does not tell".to_owned());
    Judged {
        decision: asked.policy.decide(asked.subject, &command),
        explanations: asked.policy.explain(asked.subject, &command),
        refused: refused(guard, asked, readings, &lineages, &command),
        refused_unseen: refused(guard, asked, readings, &lineages, &more),
        command,
        masked,
        reaches_more,
        provided: Vec::new(),
    }
}

/// What is refused whatever policies say: by masking rules, and by the door itself.
fn refused(
    guard: Guard<'_>,
    asked: &Asked<'_>,
    readings: &[&Statement],
    lineages: &[Lineage],
    command: &Command,
) -> Option<Denial> {
    let bound = asked.parameters.iter().map(|parameter| match parameter {
        Parameter::Text(text) => Some(text.as_bytes()),
        Parameter::Null | Parameter::Unreadable => None,
    });
    let bound: Vec<Option<&[u8]>> = bound.collect();
    let encoding = readings.iter().find_map(|reading| sql::other_encoding(reading));
    encoding
        .map(limit)
        .or_else(|| guard.refusal(readings, lineages, &command.opaque))
        .or_else(|| guard.put_back(readings, &command.text, command))
        .or_else(|| guard.bound_back(readings, &bound, command))
}

fn limit(words: &str) -> Denial {
    Denial {
        by: DeniedBy::Limit,
        reason: words.to_owned(),
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
        // The stronger first.
        rules.sort_by(|one, other| one.0.cmp(&other.0));
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

/// What the answer hangs on that only a door could look up, in words.
fn provided(asked: &Asked<'_>, readings: &[&Statement], earlier: &[&Statement]) -> Vec<String> {
    let mut provided = Vec::new();
    for (table, declared) in asked.target().taken_for_tables(readings) {
        let columns = if declared {
            ""
        } else {
            ", with no columns but those that are named here and by rules"
        };
        provided.push(format!(
            "{table} is a table and no view, without triggers, rules, row policies and partitions{columns}"
        ));
    }
    if readings
        .iter()
        .any(|one| !(one.executes.is_empty() && one.cursors.is_empty()))
    {
        provided.push("what it executes or fetches from, which is judged as well, gets no stricter verdict".to_owned());
    }
    if !earlier.iter().all(|one| one.is_data() && one.opaque.is_empty()) {
        provided.push("it is sent on its own: what stands before it may change what its names mean".to_owned());
    }
    provided
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

/// The rules that decided, as `policy/rule`, or by its name the masking rule that refuses; sorted, and empty where no rule matches or
/// the door itself refuses.
pub fn deciders(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Deny(Denial {
            by: DeniedBy::Mask(rule),
            ..
        }) => vec![rule.clone()],
        verdict => rules(verdict),
    }
}

/// The rules of approval policies that decided, as `policy/rule`, sorted; empty where none did.
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

#[cfg(test)]
pub(super) mod tests;
