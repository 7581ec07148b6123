use serde_json::{Value, json};

use super::*;
use crate::audit::filter::People;
use crate::audit::samples;

fn events() -> Vec<Value> {
    let (mut ocsf, mut people) = (Ocsf::default(), People::default());
    let each = |(index, record): (u64, Record)| {
        let person = people.of(&record);
        let leaf = serde_json::to_vec(&record).unwrap();
        ocsf.event("sallyport.dev/log/x", index, &record, &leaf, person.as_ref())
    };
    (0..).zip(samples::history()).map(each).collect()
}

/// What the schema requires of every event, and of the two classes.
#[test]
fn every_event_has_what_its_class_requires() {
    for event in events() {
        let class = event["class_uid"].as_u64().unwrap();
        let activity = event["activity_id"].as_u64().unwrap();
        assert_eq!(event["type_uid"], json!(class * 100 + activity), "{event}");
        for required in ["category_uid", "severity_id", "time", "metadata"] {
            assert!(!event[required].is_null(), "{required}: {event}");
        }
        assert_eq!(event["metadata"]["version"], json!("1.3.0"));
        assert!(event["metadata"]["product"]["vendor_name"].is_string());
        match class {
            3002 => {
                assert!(event["user"].is_object(), "{event}");
                assert!(
                    event["service"].is_object() || event["dst_endpoint"].is_object(),
                    "{event}"
                );
            }
            6005 => {
                assert!(
                    event["actor"]["user"].is_object() && event["src_endpoint"].is_object(),
                    "{event}"
                );
                assert!(event["database"].is_object(), "{event}");
            }
            other => assert_eq!((other, activity), (0, 99)),
        }
    }
}

#[test]
fn verdicts_and_outcomes_are_told_apart_and_joined() {
    let all = events();
    let of = |n: usize| {
        (
            all[n]["activity_id"].as_u64().unwrap(),
            all[n]["status_id"].as_u64().unwrap(),
        )
    };
    assert_eq!(of(0), (1, 1), "a logon");
    assert_eq!((of(1), of(2)), ((1, 0), (1, 1)), "a read: intended, then done");
    assert_eq!((of(3), of(5)), ((7, 99), (7, 1)), "a delete: held, then done");
    assert_eq!(of(6), (7, 2), "a refusal");
    assert_eq!(of(7), (2, 1), "a logoff");
    assert_eq!(of(8), (1, 2), "somebody turned away");
    assert_eq!(
        all[3]["metadata"]["correlation_uid"],
        all[5]["metadata"]["correlation_uid"]
    );
    assert_eq!(all[1]["src_endpoint"], json!({"ip": "10.0.0.7", "port": 51234}));
    assert_eq!(
        all[3]["actor"]["authorizations"][0]["policy"]["name"],
        json!("changes/deletes")
    );
    assert_eq!(all[6]["query_info"]["query_string"], json!("drop table customers"));
}
