//! Labels of everything the operator makes.

use std::collections::BTreeMap;

use sallyport_crds::names;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Value of `app.kubernetes.io/managed-by`.
pub const MANAGED_BY: &str = "sallyport-operator";
/// On what belongs to one life of a sink: the sink's uid.
pub const SINK_UID_LABEL: &str = "sallyport.dev/sink-uid";
/// Selects everything the operator made.
pub const MANAGED_SELECTOR: &str = "app.kubernetes.io/managed-by=sallyport-operator";
/// Namespaces with this label may scrape admin ports.
pub const MONITORING_LABEL: &str = "sallyport.dev/monitoring";

/// Labels of the operator's own objects.
pub fn operator() -> Labels {
    let mut labels = operator_selector();
    labels.insert("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned());
    labels
}

/// Labels by which the operator's own Pods are selected, as config/operator has them.
pub fn operator_selector() -> Labels {
    labels([
        ("app.kubernetes.io/name", "sallyport"),
        ("app.kubernetes.io/component", "operator"),
    ])
}

/// Labels of a Connection's children. Users' own labels are not copied: tools that prune would take the children for theirs.
pub fn door(connection: &str) -> Labels {
    let mut labels = door_selector(connection);
    labels.insert("app.kubernetes.io/component".to_owned(), "door".to_owned());
    labels.insert("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned());
    labels
}

/// Labels by which a Connection's Pods are selected. Never change: selectors of Deployments are immutable.
pub fn door_selector(connection: &str) -> Labels {
    labels([
        ("app.kubernetes.io/name", "sallyport-proxy"),
        ("app.kubernetes.io/instance", connection),
        (names::CONNECTION_LABEL, connection),
    ])
}

/// Labels of an AuditSink's children.
pub fn recorder(sink: &str) -> Labels {
    let mut labels = recorder_selector(sink);
    labels.insert("app.kubernetes.io/component".to_owned(), "recorder".to_owned());
    labels.insert("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned());
    labels
}

/// Labels by which an AuditSink's Pod is selected.
pub fn recorder_selector(sink: &str) -> Labels {
    labels([
        ("app.kubernetes.io/name", "sallyport-recorder"),
        ("app.kubernetes.io/instance", sink),
        (names::SINK_LABEL, sink),
    ])
}

/// Labels from pairs.
pub fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
