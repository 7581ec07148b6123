//! Windows of time that are asked for beforehand: at a real door, with a real API server behind it.

use sallyport_audit::record::Event;
use serde_json::json;
use tokio::runtime::Runtime;

use super::SCHEMA;
use super::common::door::Given;
use super::common::{asking, eventually, postgres};

#[test]
fn a_window_begins_with_its_approval_and_a_longer_one_extends_it() {
    let given = Given::open().policy(json!([
        {"name": "deletes", "match": {"cel": "'delete' in command.verbs"}, "action": "RequireApproval", "message": "this needs a window",
         "approval": {"approvers": [{"kind": "Group", "name": "oidc:dba"}], "onHold": "Refuse",
            "grant": {"scope": "Window", "validFor": "4h"}}},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]));
    let server = postgres::server();
    let database = server.database(SCHEMA);
    let cluster = asking::cluster(&given, &server);
    let runtime = Runtime::new().unwrap();
    let (door, _requests) = asking::replica(&cluster, &runtime, &given, &server, &database, "door-bank-0");
    let delete = |id: u8| door.psql("alice", &[&format!("delete from acct where id = {id}")]).err;
    let passes = |id: u8| {
        eventually("the window is open", || delete(id).is_empty().then_some(()));
    };
    let refused = |id: u8| {
        let said = delete(id);
        assert!(said.contains("42501: this needs a window"), "{said}");
    };
    // The door hears of it a moment later. No such row.
    let closes = || {
        let closed = || delete(200).contains("42501: this needs a window");
        eventually("the window is over", || closed().then_some(()));
    };

    let short = runtime.block_on(asking::window(&cluster, "1h", "deletes"));
    refused(1);
    runtime.block_on(asking::approve(&cluster, &short));
    passes(1);
    assert_eq!(
        door.psql("bob", &["delete from acct where id = 2"])
            .err
            .matches("42501")
            .count(),
        1,
        "it is alice's"
    );
    // An hour later it is over by the door's own clock, whatever the operator has said so far.
    runtime.block_on(asking::age(&cluster, &short, 61));
    closes();
    refused(2);

    let long = runtime.block_on(asking::window(&cluster, "3h", "deletes"));
    refused(2);
    runtime.block_on(asking::approve(&cluster, &long));
    runtime.block_on(asking::age(&cluster, &long, 61));
    passes(2);
    assert_eq!(door.direct("select count(*) from acct"), "0");
    // A session's target counts, whatever the operator has said so far.
    runtime.block_on(asking::asked_of_another_target(&cluster, &long));
    closes();
    refused(1);
    let used = door.events().into_iter().filter_map(|event| match event {
        Event::Claimed(claimed) => Some(claimed.request.name),
        _ => None,
    });
    // Each as often as somebody came in by it.
    let mut used: Vec<String> = used.collect();
    used.dedup();
    assert_eq!(used, [short, long]);
}
