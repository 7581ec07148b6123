//! Whose tokens count: at one Connection, or anywhere.

use std::time::Duration;

use sallyport_crds::connection::AgentRule;
use sallyport_crds::names;
use sallyport_policy::carrier::Carrier;
use sallyport_policy::issuer::{Issuer, Trusted};

/// Whose tokens count, resolved: nothing here refers to anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The identity providers; those that a Connection names, narrowed as it says.
    pub issuers: Vec<Issuer>,
    /// The audience by which a ServiceAccount's token is a token for this Connection; `None` where none is taken.
    pub service_accounts: Option<String>,
    /// Audiences that the API server itself takes. A token that carries one of them is refused here: whoever operates a door
    /// could otherwise use it as its owner at the API server, and approve in their name.
    pub api_audiences: Vec<String>,
    /// A token may be at most this old (`iat`).
    pub max_token_age: Duration,
    /// Which agents with tokens of their own may act for whom.
    pub agents: Vec<AgentRule>,
    /// Two tokens prove two identities here, and no more: whether the one may act for the other is asked elsewhere, by whoever
    /// knows the Connection's rules.
    pub any_agent: bool,
}

// === impl Settings ===

impl Settings {
    /// What a carrier says about identity.
    pub fn of(carrier: &Carrier) -> Self {
        let connection = &carrier.connection;
        let audience = || names::service_account_audience(&connection.namespace, &connection.name);
        Self {
            issuers: carrier.issuers.clone(),
            service_accounts: connection.spec.identity.service_accounts.then(audience),
            api_audiences: carrier.settings.api_server_audiences.clone(),
            max_token_age: connection.spec.limits.max_token_age.get(),
            agents: connection.spec.agents.clone(),
            any_agent: false,
        }
    }

    /// Whose tokens count anywhere in an installation, for whoever knows no Connection: what one narrows is not asked.
    pub fn anywhere(trusted: &Trusted) -> Self {
        Self {
            issuers: trusted.issuers.clone(),
            service_accounts: None,
            api_audiences: trusted.api_server_audiences.clone(),
            max_token_age: Duration::MAX,
            agents: Vec::new(),
            any_agent: true,
        }
    }
}
