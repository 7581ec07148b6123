//! From verified claims to the person that the API server would see.

use sallyport_audit::Time;
use sallyport_audit::record::{Agent, Person, Token};
use sallyport_policy::issuer::{ClaimSource, Issuer};
use serde_json::{Map, Value};

use super::{Refused, names};
use crate::Identity;

/// Agents in one chain; an AccessRequest takes as many.
pub(super) const MAX_AGENTS: usize = 8;
/// Groups in one token. An attacker's provider must not make every comparison slow.
const MAX_GROUPS: usize = 2_000;

/// The claims of a token whose signature was verified.
pub(super) type Claims = Map<String, Value>;

/// Who the token is about, before anything else is asked of it.
pub(super) fn person(issuer: &Issuer, claims: &Claims) -> Result<Person, Refused> {
    let subject = text(claims, "sub")?;
    names::check(subject).map_err(|fault| Refused::Name {
        what: "the subject",
        fault,
    })?;
    Ok(Person {
        issuer: issuer.url.clone(),
        subject: subject.to_owned(),
        username: username(&issuer.username, claims)?,
    })
}

/// The rest of the identity.
pub(super) fn identity(issuer: &Issuer, claims: &Claims, person: Person) -> Result<Identity, Refused> {
    let groups = issuer
        .groups
        .as_ref()
        .map_or_else(|| Ok(Vec::new()), |mapping| groups(mapping, claims))?;
    if !issuer.only_groups.is_empty() && !groups.iter().any(|group| issuer.only_groups.contains(group)) {
        return Err(Refused::Groups);
    }
    let verified = claims.get("email_verified").and_then(Value::as_bool) == Some(true);
    let email = claims
        .get("email")
        .and_then(Value::as_str)
        .filter(|address| verified && names::check(address).is_ok());
    Ok(Identity {
        agents: agents(issuer, claims)?,
        email: email.map(str::to_owned),
        token: token(claims),
        person,
        groups,
    })
}

/// The client that a token was given to (`azp` of OpenID Connect, `client_id` of RFC 9068), where it is none of people's:
/// whoever has such a token acts for the person.
pub(super) fn client(issuer: &Issuer, claims: &Claims) -> Result<Option<Agent>, Refused> {
    if issuer.human_clients.is_empty() {
        return Ok(None);
    }
    let stated = claims.get("azp").or_else(|| claims.get("client_id"));
    // One that does not say whose it is could be anybody's.
    let Some(client) = stated.and_then(Value::as_str).filter(|id| names::check(id).is_ok()) else {
        return Err(Refused::Claim("azp".to_owned()));
    };
    let human = issuer.human_clients.iter().any(|known| known == client);
    Ok((!human).then(|| Agent {
        issuer: Some(issuer.url.clone()),
        subject: client.to_owned(),
        username: None,
    }))
}

/// Who may act for the person by the person's own token (RFC 8693, 4.4).
pub(super) fn may_act(issuer: &str, claims: &Claims) -> Option<Agent> {
    let actor = claims.get("may_act")?;
    let vouched = match actor.get("iss") {
        None => issuer,
        Some(other) => other.as_str()?,
    };
    Some(Agent {
        issuer: Some(vouched.to_owned()),
        subject: actor.get("sub")?.as_str()?.to_owned(),
        username: None,
    })
}

/// What is kept of the token.
pub(super) fn token(claims: &Claims) -> Token {
    let time = |name| seconds(claims, name).map(Time::from_unix_secs);
    let id = claims
        .get("jti")
        .and_then(Value::as_str)
        .filter(|id| id.len() <= 256 && names::check(id).is_ok());
    Token {
        auth_time: time("auth_time"),
        expires: time("exp"),
        id: id.map(str::to_owned),
        issued: time("iat"),
    }
}

/// A numeric date in whole seconds.
pub(super) fn seconds(claims: &Claims, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float is cut to whole seconds; `as` saturates"
    )]
    value.as_i64().or_else(|| {
        value
            .as_f64()
            .filter(|seconds| seconds.is_finite())
            .map(|seconds| seconds as i64)
    })
}

fn username(mapping: &ClaimSource, claims: &Claims) -> Result<String, Refused> {
    let name = text(claims, &mapping.claim)?;
    if mapping.claim == "email" && claims.get("email_verified").and_then(Value::as_bool) != Some(true) {
        return Err(Refused::EmailNotVerified);
    }
    if name.is_empty() {
        return Err(Refused::Claim(mapping.claim.clone()));
    }
    prefixed(mapping, name, "the user name")
}

fn groups(mapping: &ClaimSource, claims: &Claims) -> Result<Vec<String>, Refused> {
    let unusable = || Refused::Claim(mapping.claim.clone());
    let values = match claims.get(&mapping.claim) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(one)) => return Ok(vec![prefixed(mapping, one, "a group")?]),
        Some(Value::Array(many)) if many.len() <= MAX_GROUPS => many,
        Some(_) => return Err(unusable()),
    };
    values
        .iter()
        .map(|value| prefixed(mapping, value.as_str().ok_or_else(unusable)?, "a group"))
        .collect()
}

fn prefixed(mapping: &ClaimSource, name: &str, what: &'static str) -> Result<String, Refused> {
    let name = format!("{}{name}", mapping.prefix);
    names::check(&name).map_err(|fault| Refused::Name { what, fault })?;
    Ok(name)
}

/// The chain of `act` claims (RFC 8693, 4.1): the outermost is the present actor, so nearest first.
fn agents(issuer: &Issuer, claims: &Claims) -> Result<Vec<Agent>, Refused> {
    let mut chain = Vec::new();
    let mut next = claims.get("act");
    while let Some(actor) = next {
        if chain.len() == MAX_AGENTS {
            return Err(Refused::Agents);
        }
        let subject = actor.get("sub").and_then(Value::as_str).ok_or(Refused::Agents)?;
        let vouched = match actor.get("iss") {
            None => issuer.url.as_str(),
            Some(other) => other.as_str().ok_or(Refused::Agents)?,
        };
        if names::check(subject).is_err() || names::check(vouched).is_err() {
            return Err(Refused::Agents);
        }
        chain.push(Agent {
            issuer: Some(vouched.to_owned()),
            subject: subject.to_owned(),
            username: acting_name(issuer, vouched, actor),
        });
        next = actor.get("act");
    }
    Ok(chain)
}

/// The name that the issuer's own people get by the same claim, where the issuer says it of its own agent. How others make
/// names of their claims is not this one's to say.
fn acting_name(issuer: &Issuer, vouched: &str, actor: &Value) -> Option<String> {
    let claims = actor.as_object().filter(|_| vouched == issuer.url)?;
    username(&issuer.username, claims).ok()
}

fn text<'a>(claims: &'a Claims, name: &str) -> Result<&'a str, Refused> {
    claims
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| Refused::Claim(name.to_owned()))
}
