//! A golden file, as for Connections.

use sallyport_crds::AuditSink;

use super::*;
use crate::connection::plan::Place;
use crate::testing::{golden, settings};

fn plan() -> Plan {
    let sink: AuditSink = serde_saphyr::from_str(&golden::read("audit_sink/full.yaml")).unwrap();
    Plan {
        place: Place {
            namespace: "evidence".into(),
            name: "evidence".into(),
        },
        uid: "01202ab6-ddad-408f-bef0-ee46984f493b".into(),
        spec: sink.spec,
        template_size: None,
    }
}

#[test]
fn a_sink_with_everything_said() {
    let children = build(&plan(), &settings());
    let texts = [
        golden::yaml(&children.service_account),
        golden::yaml(&children.service),
        golden::yaml(&children.headless_service),
        golden::yaml(&children.network_policy),
        golden::yaml(&children.stateful_set),
    ];
    golden::compare("audit_sink/full.children.yaml", &texts.join("---\n"));
}

#[test]
fn evidence_is_owned_by_nobody_and_no_namesake_gets_it() {
    let children = build(&plan(), &settings());
    let spec = children.stateful_set.spec.unwrap();
    let claim = &spec.volume_claim_templates.unwrap()[0];
    assert_eq!(claim.metadata.owner_references, None);
    let retention = spec.persistent_volume_claim_retention_policy.unwrap();
    assert_eq!(
        (retention.when_deleted.as_deref(), retention.when_scaled.as_deref()),
        (Some("Retain"), Some("Retain"))
    );
    let namesake = Plan {
        uid: "99999999-ddad-408f-bef0-ee46984f493b".into(),
        ..plan()
    };
    let theirs = build(&namesake, &settings())
        .stateful_set
        .spec
        .unwrap()
        .volume_claim_templates
        .unwrap();
    assert_ne!(claim.metadata.name, theirs[0].metadata.name);
}
