//! A person's token beside their agent's own: two identities, which are not yet consent.

use sallyport_audit::record::Agent;
use sallyport_crds::connection::AgentRule;
use sallyport_policy::{Subject, subject};

use super::Refused;
use crate::door::Identity;

/// What one token says.
pub(super) struct Known {
    pub(super) identity: Identity,
    /// Who may act for the person, by the token itself.
    pub(super) may_act: Option<Agent>,
}

/// The person with the agent that acts for them, where somebody entitled says that it may: the person's token (`act`,
/// `may_act`), or the Connection. Otherwise whoever steals a person's token could use it with an agent of their own.
pub(super) fn joined(person: Known, agent: &Identity, rules: &[AgentRule]) -> Result<Identity, Refused> {
    let Known { mut identity, may_act } = person;
    let same = (&agent.person.issuer, &agent.person.subject) == (&identity.person.issuer, &identity.person.subject);
    if same || !agent.agents.is_empty() {
        return Err(Refused::Pair);
    }
    let acting = Agent {
        issuer: Some(agent.person.issuer.clone()),
        subject: agent.person.subject.clone(),
    };
    match identity.agents.first() {
        Some(stated) if *stated == acting => Ok(identity),
        Some(_) => Err(Refused::AgentNotAllowed),
        None if may_act.as_ref() == Some(&acting) || is_listed(&identity, agent, rules) => {
            identity.agents.push(acting);
            Ok(identity)
        }
        None => Err(Refused::AgentNotAllowed),
    }
}

fn is_listed(person: &Identity, agent: &Identity, rules: &[AgentRule]) -> bool {
    let subject = Subject {
        username: person.person.username.clone(),
        groups: person.groups.clone(),
        ..Subject::default()
    };
    let agent = subject::Agent {
        username: agent.person.username.clone(),
        groups: agent.groups.clone(),
        ..subject::Agent::default()
    };
    rules
        .iter()
        .any(|rule| agent.is_among(std::slice::from_ref(&rule.agent)) && subject.is_among(&rule.acts_for))
}
