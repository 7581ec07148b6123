//! The same assembling and compiling as the operator's, over objects from files.

use sallyport_crds::audit_sink::Unconfirmed;
use sallyport_crds::connection::CaBundle;
use sallyport_crds::{AuditSink, Connection};
use sallyport_policy::assemble::{self, Candidate, Present, SinkCandidate, assemble};
use sallyport_policy::carrier::{CarriedConnection, CarriedRule, Carrier};
use sallyport_policy::issuer::{AuthenticationConfiguration, Issuers, Names};
use sallyport_policy::policy::{compile_approval_policy, compile_masking_rule};
use sallyport_policy::problem::Problem;
use sallyport_policy::selector::Selecting;

use kube::ResourceExt;

use super::objects::Objects;

/// There is one policy, and it does not change while the process lives.
const REVISION: u64 = 1;

/// The carrier of one Connection, or everything that is wrong with it.
pub(super) fn carrier(objects: &Objects, connection: &Connection) -> Result<Carrier, Vec<String>> {
    let namespace = connection.namespace().unwrap_or_default();
    let mut faults = Vec::new();
    let issuers = issuers(objects, connection, &mut faults);
    let spec = with_bundle(objects, connection, &mut faults);
    let mut problems: Vec<Problem> = Vec::new();
    let masking_rules = objects
        .masking_rules
        .iter()
        .filter(|rule| rule.namespace().as_ref() == Some(&namespace))
        .map(|rule| {
            candidate(
                rule,
                &rule.spec,
                |carried| compile_masking_rule(carried).map(drop),
                &mut problems,
            )
        })
        .collect();
    let approval_policies = objects
        .approval_policies
        .iter()
        .filter(|rule| rule.namespace().as_ref() == Some(&namespace))
        .map(|rule| {
            candidate(
                rule,
                &rule.spec,
                |carried| compile_approval_policy(carried).map(drop),
                &mut problems,
            )
        })
        .collect();
    let all = assemble::Objects {
        connection: CarriedConnection {
            namespace,
            name: connection.name_any(),
            uid: connection.uid().unwrap_or_default(),
            generation: 1,
            labels: connection.labels().clone(),
            spec,
        },
        masking_rules,
        approval_policies,
        sinks: objects.sinks.iter().map(sink).collect(),
        issuers: &issuers,
        denied_cidrs: Vec::new(),
        // Files that are read once have no labels of before.
        standing: None,
    };
    let (mut carrier, found) = assemble(&all);
    carrier.revision = REVISION;
    faults.extend(problems.iter().chain(&found).map(ToString::to_string));
    faults.extend(objects.sinks.iter().filter_map(copied));
    faults.extend(objects.sinks.iter().filter_map(confirmed));
    if faults.is_empty() { Ok(carrier) } else { Err(faults) }
}

/// A rule with its specification, if that compiles; what is wrong with it joins the problems.
fn candidate<K: ResourceExt, S: Selecting + Clone>(
    rule: &K,
    spec: &S,
    compile: impl FnOnce(&CarriedRule<S>) -> Result<(), Vec<Problem>>,
    problems: &mut Vec<Problem>,
) -> Candidate<S> {
    let carried = CarriedRule {
        name: rule.name_any(),
        uid: rule.uid().unwrap_or_default(),
        generation: 1,
        spec: spec.clone(),
    };
    let present = Present {
        selector: spec.selector().clone(),
        mode: spec.mode(),
    };
    let accepted = match compile(&carried) {
        Ok(()) => Some((carried.generation, carried.spec)),
        Err(more) => {
            problems.extend(more);
            None
        }
    };
    Candidate {
        name: carried.name,
        uid: carried.uid,
        present: Some(present),
        accepted,
    }
}

/// As the operator says of such a sink: whoever reads the object would believe in copies that nobody makes.
fn copied(sink: &AuditSink) -> Option<String> {
    let name = sink.name_any();
    let message = format!(
        "AuditSink {name}: spec.destinations is not implemented by this version: the log is kept in the state directory alone"
    );
    (!sink.spec.destinations.is_empty()).then_some(message)
}

/// Here the recorder is the door: whom it confirmed, nobody else would have.
fn confirmed(sink: &AuditSink) -> Option<String> {
    let name = sink.name_any();
    let message =
        format!("AuditSink {name}: spec.unconfirmed Refuse needs a recorder in a process of its own: make it Record");
    (sink.spec.unconfirmed == Unconfirmed::Refuse).then_some(message)
}

fn sink(sink: &AuditSink) -> SinkCandidate {
    SinkCandidate {
        namespace: sink.namespace().unwrap_or_default(),
        name: sink.name_any(),
        uid: sink.uid().unwrap_or_default(),
        address: Some("in this process".to_owned()),
        spec: sink.spec.clone(),
    }
}

fn issuers(objects: &Objects, connection: &Connection, faults: &mut Vec<String>) -> Issuers {
    let Some(authentication) = &objects.authentication else {
        if !connection.spec.identity.issuers.is_empty() {
            faults.push("no AuthenticationConfiguration was found, and the Connection names issuers".to_owned());
        }
        return Issuers::default();
    };
    let names = objects
        .names
        .clone()
        .unwrap_or_else(|| guess(authentication, connection));
    let (issuers, errors) = Issuers::resolve(authentication, &names);
    faults.extend(errors.iter().map(ToString::to_string));
    issuers
}

/// With one issuer and one name there is nothing to be confused about; otherwise the names have to be given.
fn guess(authentication: &AuthenticationConfiguration, connection: &Connection) -> Names {
    let (urls, wanted) = (authentication.urls(), &connection.spec.identity.issuers);
    match (urls.as_slice(), wanted.as_slice()) {
        ([url], [reference]) => Names {
            issuers: vec![sallyport_policy::issuer::Named {
                name: reference.name.clone(),
                url: url.clone(),
                audiences: Vec::new(),
                human_clients: Vec::new(),
            }],
            // A file that lies beside the objects of this door is read by no API server.
            configuration_for: sallyport_policy::issuer::ConfigurationFor::Doors,
            ..Names::default()
        },
        _ => Names::default(),
    }
}

/// The specification with a CA bundle in place of a reference to one.
fn with_bundle(objects: &Objects, connection: &Connection, faults: &mut Vec<String>) -> sallyport_crds::ConnectionSpec {
    let mut spec = connection.spec.clone();
    let bundle = spec.target.tls.as_mut().and_then(|tls| tls.ca_bundle.as_mut());
    if let Some(CaBundle {
        inline,
        config_map_key_ref,
    }) = bundle
        && let Some(reference) = config_map_key_ref.take()
    {
        let place = (connection.namespace().unwrap_or_default(), reference.name.clone());
        *inline = objects
            .config_maps
            .get(&place)
            .and_then(|data| data.get(&reference.key))
            .cloned();
        if inline.is_none() {
            faults.push(format!(
                "target.tls.caBundle: ConfigMap {} has no key {}, or is not there",
                reference.name, reference.key
            ));
        }
    }
    spec
}
