//! Dereference: everything that a rule's verdict and status depend on.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::Resource;
use sallyport_crds::Connection;
use sallyport_policy::carrier::ClusterSettings;
use tokio::time::Instant;

use super::Rule;
use super::revision::{self, Kept};
use crate::connection;
use crate::context::Context;
use crate::enforce::programs::Program;
use crate::enforce::sought::ByRule;
use crate::enforce::verdict::Crew;
use crate::world::{Access, Guarded, of_namespace};

/// What was found.
pub struct Found<R: Rule> {
    /// Whether the namespace is opted in and its children can be seen.
    pub access: AccessKind,
    /// The rule, or why it does not decode.
    pub rule: Result<R, String>,
    /// The specification in force.
    pub in_force: Option<Kept<R::Spec>>,
    /// Why nothing new may be accepted.
    pub schema: Option<Arc<String>>,
    /// All kept specifications of the namespace.
    pub revisions: Vec<Arc<ControllerRevision>>,
    /// The Connections of the namespace that have doors; not those that are being deleted.
    pub doors: Vec<Door>,
    /// By which names people are the same.
    pub people: ClusterSettings,
}

/// How the operator stands to the namespace, without what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// It was not opted in.
    NotEnabled,
    /// It was, but the operator cannot read it (yet).
    NotReadable,
    /// All is well.
    Open,
}

/// A Connection and how its doors stand.
pub struct Door {
    /// The Connection.
    pub connection: Connection,
    /// What its doors are to run.
    pub program: Option<Program>,
    /// What they do run.
    pub crew: Crew,
    /// What they say of the columns that rules name.
    pub sought: Vec<ByRule>,
}

/// Looks everything up. Only stores are asked, so this cannot fail.
pub fn dereference<R: Rule>(object: &Guarded<R>, context: &Context) -> Found<R> {
    let meta = object.meta();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let access = context.world.access(namespace);
    let revisions = match &access {
        Access::Open(room) => room.revisions.state(),
        _ => Vec::new(),
    };
    let pods = context.pods(namespace);
    let doors = of_namespace(&context.world.connections, namespace)
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .filter(|connection| connection::validate::is_implemented(connection.spec.protocol))
        .filter(|connection| connection.metadata.deletion_timestamp.is_none())
        .map(|connection| Door {
            program: connection
                .metadata
                .uid
                .as_deref()
                .and_then(|uid| context.programs.get(uid)),
            crew: context.crew(connection, &pods, Instant::now()),
            sought: context
                .fleet
                .sought(connection.metadata.uid.as_deref().unwrap_or_default(), Instant::now()),
            connection: connection.clone(),
        })
        .collect();
    Found {
        rule: object.0.clone().map_err(|error| error.error),
        in_force: revision::in_force::<R>(&revisions, meta.uid.as_deref().unwrap_or_default(), meta.generation),
        access: AccessKind::from(&access),
        schema: context.schema.fault(),
        revisions,
        doors,
        people: context.people(),
    }
}

// === impl Door ===

impl Door {
    /// Whether doors stood before this operator began and their carrier was not read again yet: an operator that has just
    /// begun knows no better than what stands in the status.
    pub fn is_about_to_be_known(&self) -> bool {
        let status = self.connection.status.as_ref();
        status.is_some_and(|status| status.revision.is_some() && status.address.is_some())
    }
}

// === impl AccessKind ===

impl From<&Access> for AccessKind {
    fn from(access: &Access) -> Self {
        match access {
            Access::NotEnabled => Self::NotEnabled,
            Access::NotReadable => Self::NotReadable,
            Access::Open(_) => Self::Open,
        }
    }
}
