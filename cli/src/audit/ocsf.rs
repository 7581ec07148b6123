//! Records as OCSF 1.3.0 events (Open Cybersecurity Schema Framework), the schema that SIEMs ingest.
//!
//! | record | class | activity |
//! |---|---|---|
//! | sessionStart, loginRefused | Authentication (3002) | 1 Logon |
//! | sessionEnd | Authentication (3002) | 2 Logoff |
//! | command, outcome | Datastore Activity (6005) | by the statement's verbs: 1 Read, 2 Update, 5 Write, 6 Create, 7 Delete, else 4 Query |
//! | everything else | Base Event (0) | 99 Other, named after the record's kind |
//!
//! A command is two events, the intent with its verdict and the outcome, joined by `metadata.correlation_uid`. What has no
//! place in the schema stands under `unmapped`; the whole record is in `raw_data`.

use std::collections::HashMap;

use sallyport_audit::record::{Action, Command, Event, Fate, Finding, Outcome, Person, Record, SessionId};
use serde_json::{Map, Value, json};

use super::filter::action;
use super::print::not_run;

/// Version of the schema.
const VERSION: &str = "1.3.0";

/// Makes events of records, which must come in order.
#[derive(Default)]
pub struct Ocsf {
    /// Where each session comes from and goes to.
    places: HashMap<SessionId, Place>,
    /// Commands whose outcome is awaited.
    open: HashMap<(SessionId, u64), u8>,
}

#[derive(Clone, Default)]
struct Place {
    client: Value,
    target: Value,
    database: Option<String>,
    started: i64,
}

/// What differs from class to class.
struct Class {
    category: u32,
    class: u32,
    activity: u32,
    severity: u32,
    status: u32,
}

impl Ocsf {
    /// The event of a record.
    pub fn event(&mut self, origin: &str, index: u64, record: &Record, leaf: &[u8], person: Option<&Person>) -> Value {
        let session = record.session.as_ref();
        if let (Event::SessionStart(start), Some(session)) = (&record.event, session) {
            let place = Place {
                client: endpoint(&start.client),
                target: endpoint(&start.target),
                database: start.claims.database.clone(),
                started: record.time.unix_micros() / 1000,
            };
            self.places.insert(session.clone(), place);
        }
        let class = self.class(record);
        let place = session
            .and_then(|session| self.places.get(session))
            .cloned()
            .unwrap_or_default();
        let mut event = Map::new();
        let mut put = |key: &str, value: Value| {
            if !value.is_null() {
                event.insert(key.to_owned(), value);
            }
        };
        put("category_uid", json!(class.category));
        put("class_uid", json!(class.class));
        put("activity_id", json!(class.activity));
        put("type_uid", json!(class.class * 100 + class.activity));
        if class.activity == 99 {
            put("activity_name", json!(record.event.kind()));
        }
        put("severity_id", json!(class.severity));
        put("status_id", json!(class.status));
        put("time", json!(record.time.unix_micros() / 1000));
        put("metadata", metadata(origin, index, record));
        put("message", json!(super::print::what(&record.event)));
        put("raw_data", json!(String::from_utf8_lossy(leaf)));
        if class.class != 0 {
            put("src_endpoint", place.client.clone());
            put("dst_endpoint", place.target.clone());
        }
        for (key, value) in details(record, person, &place) {
            put(&key, value);
        }
        if let (Event::SessionEnd(_), Some(session)) = (&record.event, session) {
            self.places.remove(session);
        }
        Value::Object(event)
    }

    fn class(&mut self, record: &Record) -> Class {
        let authentication = |activity, severity, status| Class {
            category: 3,
            class: 3002,
            activity,
            severity,
            status,
        };
        let datastore = |activity: u8, severity, status| Class {
            category: 6,
            class: 6005,
            activity: u32::from(activity),
            severity,
            status,
        };
        match (&record.event, &record.session) {
            (Event::SessionStart(_), _) => authentication(1, 1, 1),
            (Event::LoginRefused(_), _) => authentication(1, 3, 2),
            (Event::SessionEnd(_), _) => authentication(2, 1, 1),
            (Event::Command(command), Some(session)) => {
                let activity = activity(command);
                self.open.insert((session.clone(), command.command), activity);
                match command.verdict.action {
                    Action::Allow => datastore(activity, 1, 0),
                    Action::Deny => datastore(activity, 3, 2),
                    Action::Hold => datastore(activity, 2, 99),
                }
            }
            (Event::Outcome(outcome), Some(session)) => {
                let activity = self.open.remove(&(session.clone(), outcome.command)).unwrap_or(4);
                datastore(activity, 1, status(outcome))
            }
            (Event::Attested(attested), _) => other(match attested.finding {
                Finding::Proved | Finding::SameProcess => 1,
                Finding::NotPresented | Finding::NotChecked => 3,
                Finding::Refused => 4,
            }),
            (Event::BreakGlass(_), _) => other(4),
            (Event::Denied(_) | Event::Revoked(_), _) => other(3),
            _ => other(1),
        }
    }
}

fn other(severity: u32) -> Class {
    Class {
        category: 0,
        class: 0,
        activity: 99,
        severity,
        status: 0,
    }
}

fn activity(command: &Command) -> u8 {
    let has = |words: &[&str]| command.verbs.iter().any(|verb| words.contains(&verb.as_str()));
    match () {
        () if has(&["delete", "truncate", "drop"]) => 7,
        () if has(&["update", "merge", "alter"]) => 2,
        () if has(&["insert", "copy_from", "copyfrom"]) => 5,
        () if has(&["create"]) => 6,
        () if has(&["select"]) => 1,
        () => 4,
    }
}

fn status(outcome: &Outcome) -> u32 {
    match outcome.fate {
        Fate::Executed => 1,
        Fate::Failed | Fate::NotRun => 2,
        Fate::Unknown => 0,
    }
}

fn metadata(origin: &str, index: u64, record: &Record) -> Value {
    let command = match &record.event {
        Event::Command(command) => Some(command.command),
        Event::Outcome(outcome) => Some(outcome.command),
        _ => None,
    };
    let session = record.session.as_ref();
    let mut metadata = json!({
        "version": VERSION,
        "product": {"name": "Sallyport", "vendor_name": "Sallyport", "version": env!("CARGO_PKG_VERSION")},
        "log_name": origin,
        "uid": format!("{origin}#{index}"),
        "sequence": index,
        "event_code": record.event.kind(),
    });
    if let (Some(session), Some(command), Value::Object(metadata)) = (session, command, &mut metadata) {
        metadata.insert("correlation_uid".to_owned(), json!(format!("{session}/{command}")));
    }
    metadata
}

/// What the record itself adds.
fn details(record: &Record, person: Option<&Person>, place: &Place) -> Vec<(String, Value)> {
    let mut out: Vec<(&str, Value)> = Vec::new();
    let user = person.map(user);
    let session = record.session.as_ref().map(|session| {
        json!({"uid": session.as_str(), "created_time": place.started, "issuer": person.map(|person| &person.issuer)})
    });
    let connection = record.source.connection.as_ref();
    let service = connection.map(
        |connection| json!({"name": format!("{}/{}", connection.namespace, connection.name), "uid": connection.uid}),
    );
    let actor = json!({"user": user, "session": session});
    match &record.event {
        Event::SessionStart(_) | Event::SessionEnd(_) => {
            out.push(("user", json!(user)));
            out.push(("session", json!(session)));
            out.push(("service", json!(service)));
            out.push(("is_remote", json!(true)));
        }
        Event::LoginRefused(refused) => {
            let claimed = refused.claims.user.as_ref().map(|name| json!({"name": name}));
            out.push((
                "user",
                json!(user.or(claimed).unwrap_or_else(|| json!({"name": "unknown"}))),
            ));
            out.push(("service", json!(service)));
            out.push(("src_endpoint", endpoint(&refused.client)));
            out.push(("status_detail", json!(refused.detail)));
            out.push(("is_remote", json!(true)));
        }
        Event::Command(command) => {
            out.push(("actor", authorized(actor, command)));
            out.push((
                "query_info",
                json!({"query_string": command.text, "uid": command.digest.to_string()}),
            ));
            out.push(("status_detail", json!(command.verdict.reason)));
            out.push(("unmapped", command_unmapped(command)));
        }
        Event::Outcome(outcome) => {
            out.push(("actor", actor));
            out.push(("duration", json!(outcome.duration_us / 1000)));
            out.push(("status_code", json!(outcome.sqlstate)));
            let why = not_run(outcome.why).trim_start_matches(": ");
            out.push(("status_detail", if why.is_empty() { Value::Null } else { json!(why) }));
            out.push((
                "unmapped",
                json!({"rows": outcome.rows, "bytes": outcome.bytes, "masked": outcome.masked, "fate": outcome.fate}),
            ));
        }
        _ => {
            out.push(("actor", actor));
            let details = serde_json::to_value(&record.event).unwrap_or_default();
            out.push(("unmapped", details));
        }
    }
    if matches!(record.event, Event::Command(_) | Event::Outcome(_)) {
        let name = place.database.clone().unwrap_or_else(|| "unknown".to_owned());
        out.push(("database", json!({"name": name, "type_id": 1, "type": "Relational"})));
        out.push(("type_id", json!(1)));
    }
    out.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn user(person: &Person) -> Value {
    json!({"name": person.username, "uid": person.subject, "domain": person.issuer})
}

fn authorized(mut actor: Value, command: &Command) -> Value {
    let decision = action(command.verdict.action);
    let rules: Vec<Value> = command
        .verdict
        .rules
        .iter()
        .map(|rule| {
            let policy = json!({"name": format!("{}/{}", rule.policy, rule.rule), "uid": rule.uid, "version": rule.generation.to_string()});
            json!({"decision": decision, "policy": policy})
        })
        .collect();
    let agents: Vec<Value> = command.agents.iter().map(|agent| json!(agent.name())).collect();
    if let Value::Object(actor) = &mut actor {
        if !rules.is_empty() {
            actor.insert("authorizations".to_owned(), Value::Array(rules));
        }
        if let Some(agent) = agents.first() {
            actor.insert("invoked_by".to_owned(), agent.clone());
        }
    }
    actor
}

fn command_unmapped(command: &Command) -> Value {
    json!({
        "verdict": action(command.verdict.action), "risk": command.verdict.risk, "tables": command.tables,
        "verbs": command.verbs, "agents": command.agents, "parts": command.parts,
    })
}

/// An address and a port.
fn endpoint(text: &str) -> Value {
    let Some((host, port)) = text.rsplit_once(':') else {
        return json!({"name": text});
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port: Option<u16> = port.parse().ok();
    match host.parse::<std::net::IpAddr>() {
        Ok(ip) => json!({"ip": ip.to_string(), "port": port}),
        Err(_) => json!({"hostname": host, "port": port}),
    }
}

#[cfg(test)]
mod tests;
