//! What is true of every schema of ours, whatever the type.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Takes `nullable` off every field of a definition.
///
/// The API server then drops a null instead of keeping it. A null that is kept counts as given for `has()`, so that
/// `hash: null` would pass a rule that asks for `hash`.
pub(crate) fn refuse_nulls(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            for_each(schema, &mut |node| node.nullable = None);
        }
    }
    definition
}

/// Calls `visit` with every node of a schema, parents first.
fn for_each(node: &mut JSONSchemaProps, visit: &mut impl FnMut(&mut JSONSchemaProps)) {
    visit(node);
    for child in node.properties.iter_mut().flat_map(|p| p.values_mut()) {
        for_each(child, visit);
    }
    match node.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(item)) => for_each(item, visit),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(|item| for_each(item, visit)),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = node.additional_properties.as_mut() {
        for_each(value, visit);
    }
}
