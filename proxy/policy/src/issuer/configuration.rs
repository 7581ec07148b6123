//! The two files of the admin, and what becomes of them.

use std::collections::BTreeMap;

use sallyport_crds::Duration;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{AGENT, ApproverMapping, ClaimSource, Issuer, Issuers};

/// `AuthenticationConfiguration` of `apiserver.config.k8s.io`, as far as doors understand it. What they do not
/// understand is refused, never skipped: it might be what keeps somebody out.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthenticationConfiguration {
    #[serde(default, rename = "apiVersion")]
    _api_version: IgnoredAny,
    #[serde(default, rename = "kind")]
    _kind: IgnoredAny,
    #[serde(default)]
    jwt: Vec<Jwt>,
    /// Whom the API server lets in without a token: no door lets anybody in so.
    #[serde(default, rename = "anonymous")]
    _anonymous: IgnoredAny,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Jwt {
    issuer: JwtIssuer,
    claim_mappings: ClaimMappings,
    #[serde(default)]
    claim_validation_rules: Vec<ClaimValidationRule>,
    #[serde(default)]
    user_validation_rules: Vec<serde_json::Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JwtIssuer {
    url: String,
    #[serde(rename = "discoveryURL")]
    discovery_url: Option<String>,
    certificate_authority: Option<String>,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default, rename = "audienceMatchPolicy")]
    _audience_match_policy: Option<AudienceMatchPolicy>,
    egress_selector_type: Option<String>,
}

/// How several audiences are meant: the one way that there is, which is the doors' too.
#[derive(Clone, Copy, Debug, Deserialize)]
enum AudienceMatchPolicy {
    MatchAny,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimMappings {
    username: Mapping,
    groups: Option<Mapping>,
    uid: Option<Mapping>,
    /// What the API server carries beside the name: a door knows issuer and `sub` from the token itself.
    #[serde(default)]
    extra: Vec<ExtraMapping>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExtraMapping {
    key: String,
    #[serde(rename = "valueExpression")]
    _value_expression: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapping {
    claim: Option<String>,
    prefix: Option<String>,
    expression: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClaimValidationRule {
    claim: Option<String>,
    #[serde(default)]
    required_value: String,
    expression: Option<String>,
    /// What the API server says of a token that fails an expression.
    #[serde(default, rename = "message")]
    _message: IgnoredAny,
}

/// The second file: short names, audiences of doors, declared names of approvers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Names {
    /// Whose file the configuration is.
    #[serde(default)]
    pub configuration_for: ConfigurationFor,
    /// Issuers by short name.
    #[serde(default)]
    pub issuers: Vec<Named>,
    /// Audiences that the API server accepts, beside those of the configuration itself.
    #[serde(default)]
    pub api_server_audiences: Vec<String>,
    /// Whose names are those that no issuer gave.
    #[serde(default)]
    pub approver_mappings: Vec<ApproverMapping>,
    /// How old the login of an approver may be, also where a policy does not ask.
    #[serde(default)]
    pub approver_max_login_age: Option<Duration>,
}

/// Whose file the configuration is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ConfigurationFor {
    /// The API server's too: what audiences it names are the API server's, and doors need others.
    #[default]
    ApiServer,
    /// The doors' alone: its audiences are theirs.
    Doors,
}

/// A short name for an issuer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Named {
    /// The short name.
    pub name: String,
    /// `issuer.url` of the configuration.
    pub url: String,
    /// Audiences of tokens for doors. May be left out where the configuration is said to be for doors alone: then they are
    /// those of the configuration.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Clients (`azp`) by which people log in themselves. A token that another was given counts as an agent's; left out, none
    /// is told apart.
    #[serde(default)]
    pub human_clients: Vec<String>,
}

/// Why the two files cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// A short name stands for an issuer that is not configured.
    #[error("issuer {name}: no jwt entry has issuer.url {url}")]
    NotConfigured {
        /// The short name.
        name: String,
        /// The address.
        url: String,
    },
    /// Two issuers of one name.
    #[error("issuer {0}: the name is given twice")]
    Twice(String),
    /// A part of the configuration that doors do not understand.
    #[error("issuer {name}: {field} is not understood by doors; {remedy}")]
    NotUnderstood {
        /// The short name.
        name: String,
        /// The field.
        field: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// An audience for doors that the API server accepts too.
    #[error(
        "issuer {name}: the API server accepts audience {audience} too, so a token for a door could be used there; give doors an audience of their own in `audiences` of the names file"
    )]
    AudienceNotAllowed {
        /// The short name.
        name: String,
        /// The audience.
        audience: String,
    },
    /// No audience for doors.
    #[error(
        "issuer {0}: no audience of tokens for doors is given: write `audiences: [NAME]` beside it in the names file, NAME being one that the API server does not accept; or, if the API server does not read this AuthenticationConfiguration, say so there by `configurationFor: Doors`, and the audiences of issuer.audiences are the doors'"
    )]
    NoAudience(String),
}

// === impl AuthenticationConfiguration ===

impl AuthenticationConfiguration {
    /// Addresses of the issuers, in the order of the file.
    pub fn urls(&self) -> Vec<String> {
        self.jwt.iter().map(|jwt| jwt.issuer.url.clone()).collect()
    }
}

// === impl Issuers ===

impl Issuers {
    /// Resolves the two files.
    ///
    /// # Errors
    /// One for each issuer that cannot be used, by short name; the others stand.
    pub fn resolve(configuration: &AuthenticationConfiguration, names: &Names) -> (Self, Vec<ConfigurationError>) {
        let mut resolved = Self {
            api_server_audiences: names.api_server_audiences.clone(),
            approver_mappings: names.approver_mappings.clone(),
            approver_max_login_age: names.approver_max_login_age,
            ..Self::default()
        };
        let find = |url: &str| configuration.jwt.iter().find(|jwt| jwt.issuer.url == url);
        if names.configuration_for == ConfigurationFor::ApiServer {
            let all = configuration.jwt.iter();
            resolved
                .api_server_audiences
                .extend(all.flat_map(|jwt| jwt.issuer.audiences.iter().cloned()));
        }
        resolved.api_server_audiences.sort_unstable();
        resolved.api_server_audiences.dedup();
        let mut errors = Vec::new();
        for named in &names.issuers {
            let not_configured = || ConfigurationError::NotConfigured {
                name: named.name.clone(),
                url: named.url.clone(),
            };
            match find(&named.url)
                .ok_or_else(not_configured)
                .and_then(|jwt| Ok((jwt, resolved.read(named, jwt, names.configuration_for)?)))
            {
                Ok((jwt, issuer)) => {
                    // Of another file than the API server's nothing is known.
                    if names.configuration_for == ConfigurationFor::ApiServer && !jwt.claim_mappings.mark_agents() {
                        resolved.blind_to_agents(&issuer);
                    }
                    resolved.add(issuer, &mut errors);
                }
                Err(error) => errors.push(error),
            }
        }
        (resolved, errors)
    }

    fn read(
        &self,
        named: &Named,
        jwt: &Jwt,
        configuration_for: ConfigurationFor,
    ) -> Result<Issuer, ConfigurationError> {
        let name = &named.name;
        let not_understood = |field, remedy| ConfigurationError::NotUnderstood {
            name: name.clone(),
            field,
            remedy,
        };
        if !jwt.user_validation_rules.is_empty() {
            return Err(not_understood(
                "userValidationRules",
                "use claimValidationRules with claim and requiredValue",
            ));
        }
        if jwt.issuer.egress_selector_type.is_some() {
            return Err(not_understood(
                "issuer.egressSelectorType",
                "doors connect by themselves; leave it out",
            ));
        }
        if jwt
            .claim_mappings
            .uid
            .as_ref()
            .is_some_and(|uid| uid.claim.as_deref() != Some("sub"))
        {
            return Err(not_understood(
                "claimMappings.uid",
                "a person is (issuer, sub): map uid from the claim sub",
            ));
        }
        let audiences = match configuration_for {
            ConfigurationFor::Doors if named.audiences.is_empty() => &jwt.issuer.audiences,
            _ => &named.audiences,
        };
        if audiences.is_empty() {
            return Err(ConfigurationError::NoAudience(name.clone()));
        }
        if let Some(audience) = audiences
            .iter()
            .find(|audience| self.api_server_audiences.contains(audience))
        {
            return Err(ConfigurationError::AudienceNotAllowed {
                name: name.clone(),
                audience: audience.clone(),
            });
        }
        let claim = |mapping: &Mapping, field| {
            mapping
                .source()
                .ok_or_else(|| not_understood(field, "use claim and prefix, not an expression"))
        };
        Ok(Issuer {
            name: name.clone(),
            url: jwt.issuer.url.clone(),
            discovery_url: jwt.issuer.discovery_url.clone(),
            certificate_authority: jwt
                .issuer
                .certificate_authority
                .clone()
                .filter(|pem| !pem.trim().is_empty()),
            audiences: audiences.clone(),
            username: claim(&jwt.claim_mappings.username, "claimMappings.username.expression")?,
            groups: match jwt.claim_mappings.groups.as_ref().filter(|groups| !groups.is_empty()) {
                Some(groups) => Some(claim(groups, "claimMappings.groups.expression")?),
                None => None,
            },
            required_claims: required(&jwt.claim_validation_rules)
                .ok_or_else(|| not_understood("claimValidationRules.expression", "use claim and requiredValue"))?,
            only_groups: Vec::new(),
            human_clients: named.human_clients.clone(),
        })
    }

    fn add(&mut self, issuer: Issuer, errors: &mut Vec<ConfigurationError>) {
        self.warnings.extend(issuer.warning());
        let name = issuer.name.clone();
        if self.issuers.insert(name.clone(), issuer).is_some() {
            // Neither is taken: which one a Connection means cannot be known.
            self.issuers.remove(&name);
            errors.push(ConfigurationError::Twice(name));
        }
    }
}

// === impl ClaimMappings ===

impl ClaimMappings {
    /// Whether admission is told of tokens that are in an agent's hands.
    fn mark_agents(&self) -> bool {
        self.extra.iter().any(|mapping| mapping.key == AGENT)
    }
}

// === impl Mapping ===

impl Mapping {
    fn is_empty(&self) -> bool {
        self.claim.is_none() && self.expression.is_none()
    }

    fn source(&self) -> Option<ClaimSource> {
        if self.expression.is_some() {
            return None;
        }
        Some(ClaimSource {
            claim: self.claim.clone()?,
            prefix: self.prefix.clone().unwrap_or_default(),
        })
    }
}

fn required(rules: &[ClaimValidationRule]) -> Option<BTreeMap<String, String>> {
    rules
        .iter()
        .map(|rule| match (&rule.claim, &rule.expression) {
            (Some(claim), None) => Some((claim.clone(), rule.required_value.clone())),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
