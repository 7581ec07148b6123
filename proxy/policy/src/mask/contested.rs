//! What rules disagree about.

use super::action::Action;
use super::detect::Kind;
use super::detect::pattern::Pattern;
use super::masker::MaskSet;
use super::rule::{Rule, RuleSet};

/// A detector or pattern of several rules that do different things to what it finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    /// Name of the detector; of a pattern, as the first rule calls it.
    pub what: String,
    /// The rules with what each does to a part of a value, the one that acts first.
    pub rules: Vec<(String, Action)>,
}

impl MaskSet {
    /// The detectors and patterns that rules disagree about, for a person who is exempt from these rules. Of hits that overlap, by
    /// whatever they are found, the strongest action counts as well: which do, only values tell.
    pub fn contested(&self, exempt: &RuleSet) -> Vec<Contested> {
        let rules = (0..).zip(self.rules());
        let acting = rules.filter(|(id, rule)| !rule.observe && !exempt.contains(*id));
        let acting: Vec<&Rule> = acting.map(|(_, rule)| rule).collect();
        let mut kinds: Vec<Kind> = Vec::new();
        let mut patterns: Vec<&Pattern> = Vec::new();
        for rule in &acting {
            for kind in &rule.detectors {
                if !kinds.contains(kind) {
                    kinds.push(*kind);
                }
            }
            for pattern in &rule.patterns {
                if !patterns.iter().any(|known| known.is_same(pattern)) {
                    patterns.push(pattern);
                }
            }
        }
        let kinds = kinds
            .iter()
            .filter_map(|kind| contested(kind.name(), &acting, |rule| rule.detectors.contains(kind)));
        let patterns = patterns.iter().filter_map(|pattern| {
            let wants = |rule: &Rule| rule.patterns.iter().any(|own| own.is_same(pattern));
            contested(&format!("pattern {}", pattern.name()), &acting, wants)
        });
        kinds.chain(patterns).collect()
    }
}

fn contested(what: &str, acting: &[&Rule], wants: impl Fn(&Rule) -> bool) -> Option<Contested> {
    let wanting = acting.iter().filter(|rule| wants(rule));
    let mut rules: Vec<(String, Action)> = wanting.map(|rule| (rule.name.clone(), rule.action.on_part())).collect();
    let (_, first) = rules.first()?;
    if rules.iter().all(|(_, action)| action == first) {
        return None;
    }
    // The stronger first.
    rules.sort_by(|one, other| one.1.cmp(&other.1));
    Some(Contested {
        what: what.to_owned(),
        rules,
    })
}

#[cfg(test)]
mod tests {
    use super::super::keys::Keys;
    use super::*;

    fn rule(name: &str, action: Action) -> Rule {
        Rule {
            name: name.into(),
            action,
            detectors: vec![Kind::UsSsn],
            patterns: vec![Pattern::compile(name, "C-[0-9]{6}", 16).unwrap()],
            ..Rule::of_all_detectors()
        }
    }

    fn told(rules: Vec<Rule>, exempt: &RuleSet) -> Vec<String> {
        let found = MaskSet::new(rules, Keys::default()).contested(exempt);
        let each = found.iter().map(|one| {
            let rules: Vec<String> = one
                .rules
                .iter()
                .map(|(name, action)| format!("{name} {}", action.name()))
                .collect();
            format!("{}: {}", one.what, rules.join(", "))
        });
        each.collect()
    }

    #[test]
    fn rules_that_do_different_things_about_one_detector_or_pattern_are_told_in_order_of_strength() {
        let replace = || Action::Replace { with: "###-##".into() };
        let all = |observe: bool| {
            let mut rules = vec![rule("a", replace()), rule("b", Action::Null), rule("c", Action::Redact)];
            rules[1].observe = observe;
            rules[2].patterns.clear();
            rules
        };
        let nobody = RuleSet::default();
        assert_eq!(
            told(all(false), &nobody),
            ["US_SSN: b Null, c Redact, a Replace", "pattern a: b Null, a Replace"]
        );
        assert_eq!(told(all(true), &nobody), ["US_SSN: c Redact, a Replace"]);
        assert_eq!(
            told(all(false), &RuleSet::one(2)).first().unwrap(),
            "US_SSN: b Null, a Replace"
        );
        assert_eq!(told(all(true), &RuleSet::one(2)), [""; 0]);
        let alike = vec![rule("a", replace()), rule("b", replace())];
        assert_eq!(told(alike, &nobody), [""; 0]);
    }
}
