//! What a grant fits, and what it does not.

use sallyport_crds::approval_policy::GrantScope;
use serde_json::json;

use super::common::door::{Given, TestDoor};
use super::common::wire::{Client, tags};
use super::{SCHEMA, asks_bob};

#[test]
fn a_grant_for_one_target_does_not_fit_another_that_looks_the_same() {
    let given = asks_bob(json!({"onHold": "Refuse"}));
    let door = TestDoor::new(&given, SCHEMA);
    let sql = "delete from acct where id = 1";
    assert!(door.psql("alice", &[sql]).err.contains("request-1"));
    door.people.approve("request-1");
    // The same server by another name: all that stands in its catalog is equal.
    let elsewhere = json!({"target": {"host": "localhost", "port": door.server().port,
        "tls": {"mode": "VerifyFull", "serverName": "localhost"}}});
    door.enforce(&given.connection(elsewhere), 2);
    let printed = door.psql("alice", &[sql]);
    assert!(printed.err.contains("request-2"), "{printed:?}");
    assert_eq!(door.direct("select count(*) from acct"), "2");
}

#[test]
fn a_grant_fits_one_command_under_one_set_of_circumstances() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), SCHEMA);
    let sql = "delete from acct where id = 1";
    let refused = door.psql("alice", &[sql]);
    assert!(refused.err.contains("request-1"), "{refused:?}");
    door.people.approve("request-1");
    let with = |options: &str| format!("{} options='{options}'", door.conninfo("alice"));
    let elsewhere = [
        door.psql_with(&with("-c search_path=other"), &[sql]),
        door.psql_with(&with("-c search_path=public,other"), &[sql]),
        door.psql_with(&with("-c TimeZone=Asia/Tokyo"), &[sql]),
        door.psql_with(&with("-c DateStyle=German"), &[sql]),
        door.psql_with(&with("-c standard_conforming_strings=off"), &[sql]),
        door.psql("alice", &["set transform_null_equals = on", sql]),
        door.psql("alice", &["delete from acct where id = 2"]),
        door.psql("alice", &["delete from acct where id =  1"]),
        door.psql("alice", &["delete from acct where id = 1; select 1"]),
        door.psql("bob", &[sql]),
    ];
    for (index, printed) in elsewhere.iter().enumerate() {
        assert!(printed.err.contains("42501: this needs bob"), "{index}: {printed:?}");
        assert!(!printed.err.contains("request-1 "), "{index}: {printed:?}");
    }
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut bound = |value: &str| {
        client
            .parse("", "delete from acct where id = $1::int")
            .bind("", "", &[value], 0);
        client.execute("", 0).sync();
        client.ready()
    };
    let first = bound("2");
    let name = |detail: String| detail.split_whitespace().nth(1).unwrap().to_owned();
    let asked = name(first.iter().find_map(|message| message.field('D')).unwrap());
    door.people.approve(&asked);
    assert_eq!(tags(&bound("3")), "1EZ", "another parameter");
    assert_eq!(tags(&bound("2")), "12CZ", "the one that was approved");
    assert_eq!(tags(&bound("2")), "1EZ", "and once");
    assert_eq!(door.direct("select count(*) from acct"), "1");
    let printed = door.psql("alice", &[sql]);
    assert_eq!(printed.err, "", "the first is still good");
    assert_eq!(door.direct("select count(*) from acct"), "0");
}

#[test]
fn a_grant_fits_the_settings_of_users_that_policies_and_triggers_may_read() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), SCHEMA);
    let sql = "delete from acct where id = 1";
    let under = |setting: &str| door.psql("alice", &[setting, sql]);
    let asked = under("set app.tenant = '1'");
    assert!(asked.err.contains("request-1"), "{asked:?}");
    door.people.approve("request-1");
    for setting in [
        "set app.tenant = '2'",
        "select set_config('App.Tenant', '2', false)",
        "set app.tenant = '1'; set app.other = '1'",
        "set app.tenant = '1'; reset app.tenant",
        "select 1",
    ] {
        let refused = under(setting);
        assert!(refused.err.contains("42501: this needs bob"), "{setting}: {refused:?}");
        assert!(!refused.err.contains("request-1 "), "{setting}: {refused:?}");
    }
    let printed = under("set app.other = '2'; reset app.other; set app.tenant = '1'");
    assert_eq!(printed.err, "", "as it was approved");
    assert_eq!(door.direct("select count(*) from acct"), "1");
}

#[test]
fn a_grant_fits_whatever_snapshot_the_code_is_seen_by_as_long_as_it_is_the_same() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), SCHEMA);
    let sql = "delete from acct where id = 1";
    let older = [
        "begin isolation level repeatable read",
        "select n from acct",
        sql,
        "commit",
    ];
    assert!(door.psql("alice", &[sql]).err.contains("request-1"));
    door.people.approve("request-1");
    let printed = door.psql("alice", &older);
    assert!(!printed.err.contains("42501"), "{printed:?}");
    assert_eq!(door.direct("select count(*) from acct"), "1");
}

#[test]
fn a_fingerprint_lets_parameters_vary_and_nothing_else() {
    let grant = json!({"onHold": "Refuse", "grant": {"scope": "Fingerprint", "validFor": "1h"}});
    let door = TestDoor::new(&asks_bob(grant), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut bound = |sql: &str, value: &str| {
        client.parse("", sql).bind("", "", &[value], 0).execute("", 0).sync();
        tags(&client.ready())
    };
    let sql = "update acct set n = 1 where id = $1::int";
    assert_eq!(bound(sql, "1"), "1EZ");
    door.people.approve("request-1");
    assert_eq!(bound(sql, "1"), "12CZ");
    assert_eq!(bound(sql, "2"), "12CZ");
    assert_eq!(bound("update acct set n = 2 where id = $1::int", "1"), "1EZ");
    door.direct("CREATE OR REPLACE FUNCTION inner_step(i int) RETURNS int LANGUAGE sql AS 'select 7'");
    assert_eq!(bound(sql, "2"), "1EZ", "the code behind it is another");
}

#[test]
fn parameters_vary_within_what_the_rule_says() {
    let parameters = json!([{"position": 1, "minimum": 1, "maximum": 2}]);
    let grant = json!({"scope": "Fingerprint", "validFor": "1h", "parameters": parameters});
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse", "grant": grant})), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut bound = |values: &[&str]| {
        client.parse("", "update acct set n = $2::int where id = $1::int");
        client.bind("", "", values, 0).execute("", 0).sync();
        tags(&client.ready())
    };
    assert_eq!(bound(&["1", "7"]), "1EZ");
    let shown = door.people.request("request-1").ask.command.parameters;
    assert_eq!(shown, ["$1 = 1 (may vary from 1 to 2)", "$2 = 7"]);
    door.people.approve("request-1");
    assert_eq!(bound(&["1", "7"]), "12CZ");
    assert_eq!(bound(&["2", "800"]), "12CZ", "the second varies as it likes");
    assert_eq!(bound(&["3", "7"]), "1EZ");
    let other = door.people.request("request-2").ask;
    assert_eq!(
        (other.scope, other.command.parameters[0].as_str()),
        (GrantScope::Command, "$1 = 3")
    );
    for outside in ["0", "-1", "1.5", " 1", "0x1"] {
        assert_eq!(bound(&[outside, "7"]), "1EZ", "{outside}");
    }
    door.people.approve("request-2");
    assert_eq!(bound(&["3", "7"]), "12CZ", "what was asked about on its own");
    assert_eq!(bound(&["3", "7"]), "1EZ", "and once");
    assert_eq!(bound(&["2", "7"]), "12CZ", "the first is still good");
}

#[test]
fn a_grant_fits_the_types_that_parameters_were_stated_with() {
    let schema = format!("{SCHEMA} CREATE FUNCTION pay(t text) RETURNS text LANGUAGE sql AS $$select 'all of it'$$;");
    let grants = [
        json!({"onHold": "Refuse"}),
        json!({"onHold": "Refuse", "grant": {"scope": "Fingerprint", "validFor": "1h"}}),
    ];
    for grant in grants {
        let door = TestDoor::new(&asks_bob(grant), &schema);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        let mut bound = |types: &[u32]| {
            client.parse_typed("", "select pay($1)", types);
            client.bind("", "", &["5"], 0).execute("", 0).sync();
            tags(&client.ready())
        };
        assert_eq!(bound(&[23]), "1EZ");
        assert_eq!(
            door.people.request("request-1").ask.command.parameters,
            ["$1::int4 = 5"]
        );
        door.people.approve("request-1");
        assert_eq!(bound(&[25]), "1EZ", "another function of that name");
        assert_eq!(bound(&[]), "1EZ", "whatever the server takes it for");
        assert_eq!(bound(&[23]), "12DCZ", "the one that was approved");
    }
}

#[test]
fn a_grant_for_a_name_fits_what_had_that_name() {
    let door = TestDoor::new(&asks_bob(json!({"onHold": "Refuse"})), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let mut executed = |id: u8| {
        client.query("deallocate all");
        client
            .parse("p", &format!("delete from acct where id = {id}"))
            .sync()
            .ready();
        tags(&client.query("execute p"))
    };
    assert_eq!(executed(1), "EZ");
    door.people.approve("request-1");
    assert_eq!(executed(2), "EZ", "another statement of that name");
    assert_eq!(executed(1), "CZ", "the one that was approved");
    assert_eq!(door.direct("select id from acct"), "2");
}

#[test]
fn a_session_grant_is_for_that_session() {
    let grant = json!({"onHold": "Refuse", "grant": {"scope": "Session", "validFor": "1h"}});
    let door = TestDoor::new(&asks_bob(grant), SCHEMA);
    let mut one = Client::login(&door, "alice", &[]).unwrap();
    let mut two = Client::login(&door, "alice", &[]).unwrap();
    assert_eq!(tags(&one.query("update acct set n = 1")), "EZ");
    door.people.approve("request-1");
    assert_eq!(tags(&one.query("update acct set n = 2")), "CZ");
    let refused = two.query("update acct set n = 3");
    assert_eq!(tags(&refused), "EZ", "her other session");
    assert!(refused[0].field('D').unwrap().contains("request-2"), "{refused:?}");
    assert_eq!(tags(&one.query("insert into acct values (3)")), "CZ");
    let again = door.psql("alice", &["update acct set n = 4"]);
    assert!(again.err.contains("request-3"), "one that begins later: {again:?}");
    assert_eq!(door.direct("select max(n) from acct"), "2");
}

#[test]
fn what_lasts_is_for_the_rules_that_asked() {
    for scope in ["Session", "Window"] {
        let rule = |name: &str, verb: &str| {
            json!({"name": name, "match": {"cel": format!("'{verb}' in command.verbs")}, "action": "RequireApproval",
                "approval": {"approvers": [{"kind": "Group", "name": "oidc:dba"}], "onHold": "Refuse",
                    "grant": {"scope": scope, "validFor": "1h"}}})
        };
        let rest = json!({"name": "rest", "match": {"any": true}, "action": "Allow"});
        let given = Given::open().policy(json!([rule("updates", "update"), rule("deletes", "delete"), rest]));
        let door = TestDoor::new(&given, SCHEMA);
        let mut client = Client::login(&door, "alice", &[]).unwrap();
        assert_eq!(tags(&client.query("update acct set n = 1")), "EZ");
        door.people.approve("request-1");
        assert_eq!(tags(&client.query("update acct set n = n + 1")), "CZ", "{scope}");
        let refused = client.query("delete from acct where id = 1");
        assert_eq!(tags(&refused), "EZ", "{scope}: another rule");
        assert!(
            refused[0].field('D').unwrap().contains("request-2"),
            "{scope}: {refused:?}"
        );
        let both = client.query("update acct set n = 7; delete from acct where id = 1");
        assert_eq!(tags(&both), "EZ", "{scope}: beside another rule");
        door.people.approve("request-2");
        assert_eq!(tags(&client.query("delete from acct where id = 1")), "CZ", "{scope}");
        assert_eq!(
            tags(&client.query("update acct set n = n + 1")),
            "CZ",
            "{scope}: the first is still good"
        );
        assert_eq!(door.direct("select n from acct"), "2", "{scope}");
    }
}
