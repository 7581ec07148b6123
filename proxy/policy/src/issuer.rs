//! Whose tokens count: the issuers of the admin's configuration, resolved once.
//!
//! The configuration has the form of Kubernetes' own AuthenticationConfiguration, best the very file that the API server
//! reads, so that one person has one name at both doors. A second small file gives issuers the short names by which
//! Connections pick them.

mod configuration;

use std::collections::BTreeMap;

use sallyport_crds::{ApprovalPolicySpec, Duration, SubjectKind};
use serde::{Deserialize, Serialize};

pub use configuration::{AuthenticationConfiguration, ConfigurationError, ConfigurationFor, Named, Names};

/// Claims that people can usually edit at their provider: a name made of one is only as good as the provider's checks.
const EDITABLE: [&str; 4] = ["preferred_username", "name", "nickname", "upn"];

/// The extra by which the API server's AuthenticationConfiguration says that a token is in an agent's hands.
const AGENT: &str = "sallyport.dev/agent";

/// An issuer, resolved: nobody after this asks whether something was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issuer {
    /// The short name by which Connections pick it.
    pub name: String,
    /// The `iss` claim, exactly.
    pub url: String,
    /// Where the discovery document is, if not at the issuer's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery_url: Option<String>,
    /// PEM bundle by which the issuer's server is checked; the system's if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
    /// Audiences of which a token must carry one.
    pub audiences: Vec<String>,
    /// Where the user's name comes from.
    pub username: ClaimSource,
    /// Where the groups come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<ClaimSource>,
    /// Claims that must be there with exactly this text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub required_claims: BTreeMap<String, String>,
    /// Only members of one of these groups (names with prefix); anybody where the list is empty. A Connection narrows by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_groups: Vec<String>,
    /// Clients (`azp`) by which people log in themselves; any where the list is empty. A token that was given to another
    /// counts as an agent's that acts for the person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub human_clients: Vec<String>,
}

// === impl Issuer ===

impl Issuer {
    /// What the admin should know of it: a name that people can change at the provider is only as good as its checks, and one without
    /// a prefix may be an account's. Doors refuse that, the API server does not.
    pub fn warning(&self) -> Option<String> {
        let (name, claim) = (&self.name, &self.username.claim);
        let editable = EDITABLE.contains(&claim.as_str()).then(|| {
            format!(
                "issuer {name}: people can often change the claim {claim} themselves; make sure that the provider does not let them"
            )
        });
        let bare = self.username.prefix.is_empty().then(|| {
            format!(
                "issuer {name}: names get no prefix, so that the API server takes whom the provider calls system:serviceaccount:… for that \
                 account; give claimMappings.username a prefix that ends in a colon"
            )
        });
        let said: Vec<String> = editable.into_iter().chain(bare).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// Whose tokens count anywhere in an installation: what the operator tells recorders, which check tokens by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trusted {
    /// Audiences that the API server itself accepts.
    pub api_server_audiences: Vec<String>,
    /// The issuers, as doors get them before a Connection narrows them.
    pub issuers: Vec<Issuer>,
}

// === impl Trusted ===

impl From<&Issuers> for Trusted {
    fn from(issuers: &Issuers) -> Self {
        Self {
            api_server_audiences: issuers.api_server_audiences.clone(),
            issuers: issuers.issuers.values().cloned().collect(),
        }
    }
}

/// A claim and what is put before its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimSource {
    /// Name of the claim.
    pub claim: String,
    /// Put before every value.
    #[serde(default)]
    pub prefix: String,
}

/// Says whose name an API-server name is that no issuer gave: a client certificate's, for example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproverMapping {
    /// The name at the API server.
    pub username: String,
    /// The person's issuer.
    pub issuer: String,
    /// The person's `sub`.
    pub subject: String,
    /// Groups, with the issuer's prefix, by which the person is an approver under this name too. They are the admin's word:
    /// what a certificate says of groups is the word of whoever signed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// All issuers of an installation, and what belongs to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issuers {
    /// By short name.
    pub issuers: BTreeMap<String, Issuer>,
    /// Audiences that the API server itself accepts. No door takes a token that carries one.
    pub api_server_audiences: Vec<String>,
    /// Declared names of approvers.
    pub approver_mappings: Vec<ApproverMapping>,
    /// How old the login of an approver may be, whatever policies say.
    pub approver_max_login_age: Option<Duration>,
    /// By short name, issuers of which doors tell agents from people (`human_clients`) and the API server does not; and what the
    /// admin should do.
    pub agents_unmarked: BTreeMap<String, String>,
    /// What the admin should know: that, and names that users can change at the provider.
    pub warnings: Vec<String>,
}

// === impl Issuers ===

impl Issuers {
    /// Has a policy ask for approvers who logged in as recently as the installation wants it, where its author does not ask for more.
    /// ServiceAccounts never log in: who names one among approvers means it.
    pub fn ask_for_logins(&self, policy: &mut ApprovalPolicySpec) {
        let Some(most) = self.approver_max_login_age else {
            return;
        };
        for approval in policy.rules.iter_mut().filter_map(|rule| rule.approval.as_mut()) {
            if approval
                .approvers
                .iter()
                .all(|one| one.kind != SubjectKind::ServiceAccount)
            {
                approval.max_login_age = Some(approval.max_login_age.map_or(most, |own| own.min(most)));
            }
        }
    }

    /// Notes that the API server marks no token of this issuer as an agent's.
    fn blind_to_agents(&mut self, issuer: &Issuer) {
        if issuer.human_clients.is_empty() {
            return;
        }
        let warning = format!(
            "issuer {}: doors tell agents from people (humanClients) and the API server does not, so an agent with a person's token \
             could approve; map the extra {AGENT} in authentication.yaml, as config/reference/issuers does, and restart the API server by it",
            issuer.name
        );
        self.warnings.push(warning.clone());
        self.agents_unmarked.insert(issuer.name.clone(), warning);
    }
}
