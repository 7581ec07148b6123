//! A person's token beside their agent's own: two identities, which are not yet consent.

use sallyport_audit::record::Agent;
use sallyport_crds::connection::AgentRule;
use sallyport_policy::issuer::Issuer;
use sallyport_policy::{Subject, subject};

use super::{Refused, Settings, serviceaccount};
use crate::Identity;

/// What one token says.
pub(super) struct Known {
    pub(super) identity: Identity,
    /// Who may act for the person, by the token itself.
    pub(super) may_act: Option<Agent>,
    /// The client that it was given to, where that is none of people's.
    pub(super) client: Option<Agent>,
}

// === impl Known ===

impl Known {
    /// The person, where no other token stands beside this one: by themselves, or through the client that has it.
    pub(super) fn alone(self) -> Identity {
        let Self {
            mut identity, client, ..
        } = self;
        if identity.agents.is_empty() {
            identity.agents.extend(client);
        }
        identity
    }

    /// Rules know an agent that nobody names by its `sub` or client id. Those are chosen where no issuer of ours looks (another
    /// provider's `act`, a client that registers itself), and must not be the name of somebody else.
    pub(super) fn checked(self, issuers: &[Issuer]) -> Result<Self, Refused> {
        let prefixes = issuers.iter().map(|issuer| issuer.username.prefix.as_str());
        let prefixes: Vec<&str> = prefixes.filter(|prefix| !prefix.is_empty()).collect();
        let agents = self.identity.agents.iter().chain(&self.client);
        let posing = agents
            .filter(|agent| agent.username.is_none())
            .find_map(|agent| prefixes.iter().find(|prefix| agent.subject.starts_with(**prefix)));
        match posing {
            Some(prefix) => Err(Refused::AgentName((*prefix).to_owned())),
            None => Ok(self),
        }
    }
}

/// The person with the agent that acts for them, where somebody entitled says that it may: the person's token (`act`,
/// `may_act`), or the Connection. Otherwise whoever steals a person's token could use it with an agent of their own.
pub(super) fn joined(person: Known, agent: &Identity, settings: &Settings) -> Result<Identity, Refused> {
    let Known {
        mut identity, may_act, ..
    } = person;
    let same = (&agent.person.issuer, &agent.person.subject) == (&identity.person.issuer, &identity.person.subject);
    if same || !agent.agents.is_empty() {
        return Err(Refused::Pair);
    }
    let (subject, username) = (subject_of(agent), &agent.person.username);
    let acting = Agent {
        issuer: Some(agent.person.issuer.clone()),
        subject: subject.to_owned(),
        username: (subject != username).then(|| username.clone()),
    };
    match identity.agents.first_mut() {
        // The agent's own token is what says its name; the person's may say none.
        Some(stated) if stated.is(&acting) => *stated = acting,
        Some(_) => return Err(Refused::AgentNotAllowed),
        None => {
            let named = may_act.is_some_and(|named| named.is(&acting));
            let permitted = named || settings.any_agent || is_listed(&identity, agent, &settings.agents);
            if !permitted {
                return Err(Refused::AgentNotAllowed);
            }
            identity.agents.push(acting);
        }
    }
    Ok(identity)
}

/// Of a ServiceAccount its name, which is the `sub` of its tokens: by its uid, which the API server says of it, it would not
/// be known again where it approves what it asks for itself.
fn subject_of(agent: &Identity) -> &str {
    let person = &agent.person;
    match person.username.starts_with(serviceaccount::PREFIX) {
        true => &person.username,
        false => &person.subject,
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

#[cfg(test)]
mod tests {
    use sallyport_audit::record::{Person, Token};
    use serde_json::json;

    use super::*;

    fn identity(username: &str, subject: &str) -> Identity {
        Identity {
            person: Person {
                issuer: "https://issuer".into(),
                subject: subject.into(),
                username: username.into(),
            },
            groups: Vec::new(),
            agents: Vec::new(),
            email: None,
            token: Token::default(),
        }
    }

    #[test]
    fn an_account_stands_in_the_chain_by_the_name_under_which_it_would_approve() {
        const ROBOT: &str = "system:serviceaccount:agents:robot";
        let rules: Vec<AgentRule> = serde_json::from_value(json!([{
            "agent": {"kind": "ServiceAccount", "name": "robot", "namespace": "agents"},
            "actsFor": [{"kind": "User", "name": "oidc:alice"}],
        }]))
        .unwrap();
        let (robot, bot) = (identity(ROBOT, "uid-of-robot"), identity("oidc:bot", "bot-1"));
        for (agent, may_act, subject, name) in [
            (&robot, None, ROBOT, ROBOT),
            (&robot, Some(ROBOT), ROBOT, ROBOT),
            (&bot, Some("bot-1"), "bot-1", "oidc:bot"),
        ] {
            let known = Known {
                identity: identity("oidc:alice", "alice-1"),
                may_act: may_act.map(|subject| Agent {
                    issuer: Some("https://issuer".into()),
                    subject: subject.to_owned(),
                    username: None,
                }),
                client: None,
            };
            let agents = if may_act.is_some() { Vec::new() } else { rules.clone() };
            let settings = Settings {
                agents,
                ..Settings::default()
            };
            let joined = joined(known, agent, &settings).unwrap();
            assert_eq!(
                (joined.agents[0].subject.as_str(), joined.agents[0].name()),
                (subject, name)
            );
        }
    }
}
