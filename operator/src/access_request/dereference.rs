//! Dereference: the Connection and the policies in force. Only stores are asked, so this cannot fail.

use std::sync::Arc;

use kube::{Resource, ResourceExt};
use sallyport_crds::{AccessRequest, ApprovalPolicy, ApprovalPolicySpec, Connection};
use sallyport_policy::carrier::{CarriedRule, ClusterSettings};
use sallyport_policy::selector::selects;

use super::admission::Seen;
use super::decide::ends;
use super::requirements::grants_windows;
use crate::context::Context;
use crate::rule::revision;
use crate::world::{Access, find, of_namespace};

/// What was found.
pub struct Found {
    /// The Connection that is asked about: the very one, not a namesake.
    pub connection: Option<Connection>,
    /// Whether the namespace can be seen, so that what is missing is really missing.
    pub seen: bool,
    /// The policies in force that select the Connection.
    pub policies: Vec<CarriedRule<ApprovalPolicySpec>>,
    /// Whether a policy that is written grants windows on it, in force or not yet.
    pub may_grant: bool,
    /// Issuers and declared names.
    pub settings: ClusterSettings,
    /// Other requests that the same person made beforehand on the Connection, earlier, and that are open.
    pub open_before: usize,
    /// The admission objects, once they were seen.
    pub admission: Option<Arc<Seen>>,
    /// Whether the asker waited at a door that is gone. No store says that for certain: whoever asks the API server fills it in.
    pub asker_gone: bool,
}

/// Looks everything up.
pub fn dereference(request: &AccessRequest, context: &Context) -> Found {
    let namespace = request.namespace().unwrap_or_default();
    let wanted = &request.spec.connection;
    let connection = find(&context.world.connections, &namespace, &wanted.name)
        .and_then(|guarded| guarded.0.as_ref().ok().cloned())
        .filter(|connection| connection.metadata.uid.as_deref() == Some(&wanted.uid));
    let access = context.world.access(&namespace);
    let issuers = context.issuers.load();
    let policies = match (&access, &connection) {
        (Access::Open(room), Some(connection)) => {
            let revisions = room.revisions.state();
            let in_force = of_namespace(&context.world.approval_policies, &namespace);
            let each = in_force.iter().filter_map(|guarded| {
                let meta = guarded.meta();
                let uid = meta.uid.clone()?;
                let mut kept = revision::in_force::<ApprovalPolicy>(&revisions, &uid, meta.generation)?;
                issuers.ask_for_logins(&mut kept.spec);
                let name = meta.name.clone()?;
                Some(CarriedRule {
                    name,
                    uid,
                    generation: kept.generation,
                    spec: kept.spec,
                })
            });
            each.filter(|policy| selects(&policy.spec.connection_selector, connection.labels()))
                .collect()
        }
        _ => Vec::new(),
    };
    Found {
        may_grant: connection
            .as_ref()
            .is_some_and(|connection| may_grant(context, &namespace, connection)),
        connection,
        seen: matches!(access, Access::Open(_)),
        policies,
        settings: context.people(),
        open_before: open_before(request, context),
        admission: context.admission.load(),
        asker_gone: false,
    }
}

/// Whether any policy grants windows on the Connection as it is written: one that was applied a moment ago, or while the operator was
/// away, is in force once it was looked at. What one of a later version says nobody knows.
fn may_grant(context: &Context, namespace: &str, connection: &Connection) -> bool {
    let written = of_namespace(&context.world.approval_policies, namespace);
    written.iter().any(|guarded| match &guarded.0 {
        Ok(policy) => selects(&policy.spec.connection_selector, connection.labels()) && grants_windows(&policy.spec),
        Err(_) => true,
    })
}

fn open_before(request: &AccessRequest, context: &Context) -> usize {
    let conditions = request.status.as_ref().map(|status| status.conditions.as_slice());
    // What is over is held against no quota: of a flood, each would be looked through for each.
    if request.spec.session.is_some() || ends(conditions.unwrap_or_default()).next().is_some() {
        return 0;
    }
    // Of two of the same second, the name tells: each sees the same order.
    let place = |request: &AccessRequest| {
        (
            request.metadata.creation_timestamp.clone().map(|time| time.0),
            request.name_any(),
        )
    };
    let own = place(request);
    let namespace = request.namespace().unwrap_or_default();
    let others = of_namespace(&context.world.access_requests, &namespace);
    let others = others.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    others
        .filter(|other| {
            let (theirs, ours) = (&other.spec, &request.spec);
            let conditions = other.status.as_ref().map(|status| status.conditions.as_slice());
            theirs.session.is_none()
                && theirs.connection == ours.connection
                && (&theirs.requester.issuer, &theirs.requester.subject)
                    == (&ours.requester.issuer, &ours.requester.subject)
                && place(other) < own
                && ends(conditions.unwrap_or_default()).next().is_none()
        })
        .count()
}
