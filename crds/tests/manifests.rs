//! What is in `config/crd` is what the types say, and every field of it explains itself.

use std::fs;
use std::path::Path;

use sallyport_crds::manifests::manifests;
use serde_json::Value;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/crd");

#[test]
fn files_are_what_the_types_say() {
    let wanted = manifests().unwrap();
    for manifest in &wanted {
        let found = fs::read_to_string(Path::new(DIRECTORY).join(&manifest.file)).unwrap_or_default();
        assert!(
            found == manifest.content,
            "config/crd/{} is not what the types say: run `make crds`",
            manifest.file
        );
    }
    let files = fs::read_dir(DIRECTORY).unwrap().count();
    assert_eq!(files, wanted.len(), "config/crd holds a file that nothing generates");
}

#[test]
fn every_field_has_a_description() {
    for definition in sallyport_crds::definitions() {
        let definition = serde_json::to_value(definition).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut mute = Vec::new();
        walk(schema, definition["spec"]["names"]["kind"].as_str().unwrap(), &mut mute);
        assert!(mute.is_empty(), "`kubectl explain` has nothing to say on {mute:#?}");
    }
}

/// What kstatus, and with it Flux, goes by.
#[test]
fn every_status_says_of_which_generation_it_speaks() {
    for definition in sallyport_crds::definitions() {
        let definition = serde_json::to_value(definition).unwrap();
        let status =
            &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
        let kind = &definition["spec"]["names"]["kind"];
        assert_eq!(status["observedGeneration"]["type"], "integer", "{kind}");
        let words = status["conditions"]["description"].as_str().unwrap();
        assert!(words.contains("Ready"), "{kind}: {words}");
    }
}

#[test]
fn no_field_keeps_a_null() {
    for manifest in manifests().unwrap() {
        assert!(
            !manifest.content.contains("nullable"),
            "{}: a null that is kept passes for a value",
            manifest.file
        );
    }
}

#[test]
fn every_text_and_list_that_people_write_has_a_bound() {
    for definition in sallyport_crds::definitions() {
        let definition = serde_json::to_value(definition).unwrap();
        let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut boundless = Vec::new();
        bounds(
            spec,
            definition["spec"]["names"]["kind"].as_str().unwrap(),
            &mut boundless,
        );
        // Kubernetes' own types keep their own bounds.
        boundless.retain(|path| {
            ![
                ".resources.",
                ".tolerations",
                ".topologySpreadConstraints",
                ".nodeSelector",
                ".annotations",
            ]
            .iter()
            .any(|foreign| path.contains(foreign))
        });
        assert!(boundless.is_empty(), "without maxLength or maxItems: {boundless:#?}");
    }
}

fn walk(node: &Value, path: &str, mute: &mut Vec<String>) {
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if child["description"].as_str().is_none_or(|text| text.len() < 4) {
            mute.push(path.clone());
        }
        walk(child, &path, mute);
    }
    for inner in ["items", "additionalProperties"] {
        if node[inner].is_object() {
            walk(&node[inner], path, mute);
        }
    }
}

fn bounds(node: &Value, path: &str, boundless: &mut Vec<String>) {
    let bounded = match node["type"].as_str() {
        Some("string") => node["maxLength"].is_number() || node["enum"].is_array() || node["format"].is_string(),
        Some("array") => node["maxItems"].is_number(),
        _ => true,
    };
    if !bounded {
        boundless.push(path.to_owned());
    }
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        bounds(child, &format!("{path}.{name}"), boundless);
    }
    for inner in ["items", "additionalProperties"] {
        if node[inner].is_object() {
            bounds(&node[inner], &format!("{path}.*"), boundless);
        }
    }
}
