//! Dereference: everything that a Connection's verdict, children and status depend on, looked up once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::Api;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use sallyport_crds::connection::TlsMode;
use sallyport_crds::{
    ApprovalPolicySpec, ConditionType, Connection, ConnectionSpec, MaskingRuleSpec, Reason, condition, names,
};
use sallyport_policy::assemble::{Candidate, Present, SinkCandidate};
use sallyport_policy::carrier::verify;
use sallyport_policy::columns::Kept;
use sallyport_policy::issuer::Issuers;
use sallyport_policy::selector::Selecting;
use tokio::time::Instant;

use super::certificate;
use super::plan::Place;
use crate::columns::ListError;
use crate::context::{Context, Error};
use crate::enforce::fleet::Past;
use crate::enforce::programs::Program;
use crate::enforce::sought::ByRule;
use crate::enforce::verdict::Crew;
use crate::rule::dereference::AccessKind;
use crate::rule::{Rule, revision};
use crate::shared::hindrance;
use crate::world::{Access, Guarded, Room, World, find, of_namespace};

/// What was found.
pub struct Found {
    /// Whether the namespace is opted in and its children can be seen.
    pub access: AccessKind,
    /// Why nothing new may be accepted.
    pub schema: Option<Arc<String>>,
    /// The Connection's namespace and name.
    pub place: Place,
    /// Its `metadata.uid`.
    pub uid: String,
    /// Its `metadata.generation`.
    pub generation: Option<i64>,
    /// Whether it is being deleted: somebody's finalizer holds it.
    pub deleting: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its specification, or why it does not decode.
    pub spec: Result<ConnectionSpec, String>,
    /// The MaskingRules of its namespace.
    pub masking_rules: Vec<Candidate<MaskingRuleSpec>>,
    /// What the MaskingRules of its namespace keep protected, by uid, or why that is not known.
    pub columns: BTreeMap<String, Result<Arc<Kept>, String>>,
    /// The ApprovalPolicies of its namespace.
    pub approval_policies: Vec<Candidate<ApprovalPolicySpec>>,
    /// The sinks that it names.
    pub sinks: Vec<SinkCandidate>,
    /// The admin's issuers.
    pub issuers: Arc<Issuers>,
    /// The Secrets that it or its masking rules name, those that exist.
    pub secrets: BTreeMap<String, Secret>,
    /// The ConfigMap with the target's CAs, if it names one that exists.
    pub ca_bundle: Option<ConfigMap>,
    /// The key by which AccessRequests bind to commands.
    pub binding_key: Option<Secret>,
    /// The certificate that the operator issued.
    pub door_certificate: Option<Secret>,
    /// The Service.
    pub service: Option<Arc<Service>>,
    /// The Deployment.
    pub deployment: Option<Arc<Deployment>>,
    /// Names of the door's certificate that a Connection of another namespace has in its own.
    pub shared_names: BTreeSet<String>,
    /// Why Pods do not come up, if somebody says so.
    pub hindrance: Option<String>,
    /// Why a child cannot be as it should be; known once they were applied.
    pub refused: Option<String>,
    /// Whether not all children could be written, refused or not; known by then, too.
    pub unwritten: bool,
    /// What its doors are to run so far.
    pub program: Option<Program>,
    /// The revision that the status speaks of.
    pub status_revision: u64,
    /// The processes of its doors.
    pub crew: Crew,
    /// What processes want said of them: reason and message.
    pub problems: BTreeSet<(String, String)>,
    /// What they say of the columns that rules name.
    pub sought: Vec<ByRule>,
    /// Connections at its target that no door holds.
    pub past: Past,
    /// The moment.
    pub now: Timestamp,
}

/// Looks everything up.
///
/// # Errors
/// When the API server does not answer or refuses.
pub async fn dereference(object: &Guarded<Connection>, context: &Context) -> Result<Found, Error> {
    let meta = object.meta();
    let place = Place {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    };
    let uid = meta.uid.clone().unwrap_or_default();
    let connection = object.0.as_ref().ok();
    let mut found = Found {
        access: AccessKind::NotEnabled,
        schema: context.schema.fault(),
        generation: meta.generation,
        deleting: meta.deletion_timestamp.is_some(),
        labels: meta.labels.clone().unwrap_or_default(),
        spec: object
            .0
            .as_ref()
            .map(|connection| connection.spec.clone())
            .map_err(|error| error.error.clone()),
        masking_rules: Vec::new(),
        columns: BTreeMap::new(),
        approval_policies: Vec::new(),
        sinks: Vec::new(),
        issuers: context.issuers.load_full(),
        secrets: BTreeMap::new(),
        ca_bundle: None,
        binding_key: None,
        door_certificate: None,
        service: None,
        deployment: None,
        shared_names: BTreeSet::new(),
        hindrance: None,
        refused: None,
        unwritten: false,
        program: context.programs.get(&uid),
        status_revision: connection
            .and_then(|found| u64::try_from(found.status.as_ref()?.revision?).ok())
            .unwrap_or(0),
        crew: connection
            .map(|connection| context.crew(connection, &context.pods(&place.namespace), Instant::now()))
            .unwrap_or_default(),
        problems: problems(context, &uid),
        sought: context.fleet.sought(&uid, Instant::now()),
        past: context.fleet.past(&uid),
        now: context.now(),
        place,
        uid,
    };
    let access = context.world.access(&found.place.namespace);
    found.access = AccessKind::from(&access);
    // Elsewhere the operator has no rights, and asks nothing.
    if let Access::Open(room) = access {
        found.children(&room);
        found.rules(&context.world, &room);
        found.shared_names = connection
            .map(|connection| shared_names(&context.world, connection))
            .unwrap_or_default();
        match found.asked(context).await {
            // Stores show what was there while the operator still had the right to see it.
            Err(error) if error.is_forbidden() => found.access = AccessKind::NotReadable,
            other => other?,
        }
    }
    Ok(found)
}

// === impl Found ===

impl Found {
    fn children(&mut self, room: &Room) {
        let door = names::door(&self.place.name);
        self.service = room.services.get(&ObjectRef::new(&door).within(&self.place.namespace));
        self.deployment = room
            .deployments
            .get(&ObjectRef::new(&door).within(&self.place.namespace));
        let own = |pod: &Pod| pod.labels().get(names::CONNECTION_LABEL) == Some(&self.place.name);
        let pods = room.pods.state_filter(own);
        let unmade = self.deployment.as_deref().and_then(hindrance::of_deployment);
        self.hindrance = unmade.or_else(|| hindrance::of_pods(pods.iter().map(|pod| &**pod)));
    }

    fn rules(&mut self, world: &World, room: &Room) {
        let revisions = room.revisions.state();
        let namespace = &self.place.namespace;
        self.masking_rules = candidates(&world.masking_rules, namespace, &revisions);
        self.approval_policies = candidates(&world.approval_policies, namespace, &revisions);
        let Ok(spec) = &self.spec else { return };
        let own = |wanted: &Option<String>| wanted.clone().unwrap_or_else(|| namespace.clone());
        self.sinks = spec
            .sinks
            .iter()
            .filter_map(|wanted| sink(world, &own(&wanted.namespace), &wanted.name))
            .collect();
    }

    /// What no store holds.
    async fn asked(&mut self, context: &Context) -> Result<(), Error> {
        self.columns(context).await?;
        self.named(&context.client, context).await
    }

    async fn columns(&mut self, context: &Context) -> Result<(), Error> {
        for rule in &self.masking_rules {
            let kept = match context.columns.of(&self.place.namespace, &rule.uid).await {
                Ok(kept) => Ok(kept),
                Err(unbelieved @ ListError::Unbelieved(..)) => Err(unbelieved.to_string()),
                Err(error) => return Err(error.into()),
            };
            self.columns.insert(rule.uid.clone(), kept);
        }
        Ok(())
    }

    /// What only the API server knows: Secrets and ConfigMaps.
    async fn named(&mut self, client: &Client, context: &Context) -> Result<(), Error> {
        let secrets = Api::<Secret>::namespaced(client.clone(), &self.place.namespace);
        let config_maps = Api::<ConfigMap>::namespaced(client.clone(), &self.place.namespace);
        self.binding_key = secrets.get_opt(&names::binding_key(&self.place.name)).await?;
        self.door_certificate = secrets.get_opt(&names::door_certificate(&self.place.name)).await?;
        for name in self.secret_names() {
            if let Some(secret) = secrets.get_opt(&name).await? {
                self.secrets.insert(name, secret);
            }
        }
        if let Some(name) = self.spec.as_ref().ok().and_then(ca_config_map) {
            self.ca_bundle = config_maps.get_opt(name).await?;
        }
        if self.program.is_none()
            && let Some(map) = config_maps.get_opt(&names::carrier(&self.place.name)).await?
        {
            self.program = self.carried(&map, context);
        }
        Ok(())
    }

    /// The program that an operator before this one wrote. Only what our key signed counts: others can write ConfigMaps.
    fn carried(&self, map: &ConfigMap, context: &Context) -> Option<Program> {
        let text = map.data.as_ref()?.get(names::CARRIER_KEY)?;
        match verify(text.as_bytes(), &[context.keys.carrier.public().to_vec()]) {
            Ok(carrier) => (carrier.connection.uid == self.uid).then(|| Program::found(carrier)),
            Err(error) => {
                let Place { namespace, name } = &self.place;
                tracing::warn!(namespace, connection = name, %error, "the policy that stands cannot be gone on from");
                None
            }
        }
    }

    /// The Secrets that the Connection and its masking rules name.
    fn secret_names(&self) -> BTreeSet<String> {
        let mut named: BTreeSet<String> = self.rule_keys().map(|key| key.name.clone()).collect();
        if let Ok(spec) = &self.spec {
            named.insert(spec.credentials_ref.name.clone());
            named.extend(
                spec.certificate
                    .secret_ref
                    .iter()
                    .map(|reference| reference.name.clone()),
            );
        }
        named
    }

    /// The keys of masking rules in force, whether or not they select this Connection.
    pub fn rule_keys(&self) -> impl Iterator<Item = &sallyport_crds::reference::SecretKeyReference> {
        self.masking_rules
            .iter()
            .filter_map(|rule| rule.accepted.as_ref())
            .filter_map(|(_, spec)| spec.action.key_secret_ref())
    }
}

/// The ConfigMap that holds the CAs of the target, if one does.
pub fn ca_config_map(spec: &ConnectionSpec) -> Option<&str> {
    let tls = spec.target.tls.as_ref().filter(|tls| tls.mode == TlsMode::VerifyFull)?;
    Some(tls.ca_bundle.as_ref()?.config_map_key_ref.as_ref()?.name.as_str())
}

fn candidates<R: Rule>(
    store: &Store<Guarded<R>>,
    namespace: &str,
    revisions: &[Arc<ControllerRevision>],
) -> Vec<Candidate<R::Spec>> {
    of_namespace(store, namespace)
        .iter()
        .map(|guarded| {
            let meta = guarded.meta();
            let uid = meta.uid.clone().unwrap_or_default();
            let present = guarded.0.as_ref().ok().map(|rule| Present {
                selector: rule.spec().selector().clone(),
                mode: rule.spec().mode(),
            });
            let accepted =
                revision::in_force::<R>(revisions, &uid, meta.generation).map(|kept| (kept.generation, kept.spec));
            Candidate {
                name: meta.name.clone().unwrap_or_default(),
                uid,
                present,
                accepted,
            }
        })
        .collect()
}

/// What clients dial of a Connection and find in its certificate, where a Connection of another namespace has that, too.
fn shared_names(world: &World, own: &Connection) -> BTreeSet<String> {
    let ours: BTreeSet<String> = shown(own).chain(addresses(world, own)).collect();
    let asked = &own.spec.certificate.names;
    let by_address = asked.iter().any(|name| name.parse::<IpAddr>().is_ok());
    let all = world.connections.state();
    let decoded = all.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    let mut shared = BTreeSet::new();
    for other in decoded.filter(|other| other.metadata.namespace != own.metadata.namespace) {
        // Services of thousands are looked up only where they could be what is asked for.
        let theirs = by_address.then(|| addresses(world, other)).into_iter().flatten();
        let both = shown(other).chain(theirs);
        let mut both = both.filter(|name| ours.contains(name) && !is_local(name)).peekable();
        let namespace = other.metadata.namespace.as_deref().unwrap_or_default();
        if both.peek().is_some() && world.is_enabled(namespace) {
            shared.extend(both);
        }
    }
    shared
}

/// Whether clients find their own machine by it, as behind a port-forward: nobody of another namespace answers there.
fn is_local(name: &str) -> bool {
    let loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    loopback || name.eq_ignore_ascii_case("localhost")
}

/// The names that a Connection asks for, and the address that its status tells; none where it brings a certificate of its own.
fn shown(connection: &Connection) -> impl Iterator<Item = String> {
    let ours = connection
        .status
        .as_ref()
        .filter(|_| connection.spec.certificate.secret_ref.is_none());
    let address = ours.and_then(|status| status.address.as_deref());
    // Of a NodePort no address is known.
    let dialed = address
        .and_then(|address| Some(address.rsplit_once(':')?.0))
        .filter(|host| !host.starts_with('<'));
    let names = &connection.spec.certificate.names;
    names.iter().map(String::as_str).chain(dialed).map(comparable)
}

/// The addresses that its Service has, which its certificate carries unasked; none where it brings one of its own.
fn addresses(world: &World, connection: &Connection) -> impl Iterator<Item = String> {
    let meta = &connection.metadata;
    let place = meta.namespace.as_deref().zip(meta.name.as_deref());
    let place = place.filter(|_| connection.spec.certificate.secret_ref.is_none());
    let service = place.and_then(|(namespace, name)| {
        let room = world.room(namespace)?;
        find(&room.services, namespace, &names::door(name))
    });
    let dialed = service.map(|service| certificate::dialed(&service)).unwrap_or_default();
    dialed.into_iter().map(|name| comparable(&name))
}

/// In one spelling of those that mean the same.
fn comparable(name: &str) -> String {
    certificate::canonical(name).to_ascii_lowercase()
}

fn sink(world: &World, namespace: &str, name: &str) -> Option<SinkCandidate> {
    let guarded = find(&world.audit_sinks, namespace, name)?;
    let sink = guarded.0.as_ref().ok()?;
    let status = sink.status.as_ref();
    // Where the definitions are others, what was accepted holds; so it does for the moment after they were mended.
    let held = |one: &Condition| {
        one.type_ == ConditionType::Accepted.as_str() && one.reason == Reason::SchemaMismatch.as_str()
    };
    let accepted = status.is_some_and(|status| {
        condition::is_true(&status.conditions, ConditionType::Accepted) || status.conditions.iter().any(held)
    });
    Some(SinkCandidate {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: sink.metadata.uid.clone().unwrap_or_default(),
        address: status.filter(|_| accepted).and_then(|status| status.address.clone()),
        spec: sink.spec.clone(),
    })
}

fn problems(context: &Context, uid: &str) -> BTreeSet<(String, String)> {
    let accounts = context.fleet.accounts(uid);
    let now = Instant::now();
    // What a process said before it fell silent may be over; that it is silent is for `Enforced` to say.
    let speaking = accounts.values().filter(|account| !account.is_silent(now));
    let told = speaking.flat_map(|account| &account.problems);
    told.map(|problem| (problem.reason.clone(), problem.message.clone()))
        .collect()
}
