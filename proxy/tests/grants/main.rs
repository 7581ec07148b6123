//! What a grant fits, how it ends, and going ahead without one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod asked;
mod cascades;
mod claims;
#[path = "../common/mod.rs"]
mod common;
mod fits;
mod glass;
mod hidden;
mod logins;
mod meanwhile;
mod revoked;
mod waits;
mod windows;

use common::door::Given;
use serde_json::{Value, json};

const SCHEMA: &str = "CREATE TABLE acct (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
    INSERT INTO acct VALUES (1, 0), (2, 0);
    CREATE SCHEMA other; CREATE TABLE other.acct (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
    CREATE TABLE log (n int);
    CREATE FUNCTION inner_step(i int) RETURNS int LANGUAGE sql AS $$select i$$;
    CREATE FUNCTION pay(i int) RETURNS int LANGUAGE plpgsql AS $$begin return inner_step(i); end$$;
    CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$begin insert into log values (1); return old; end$$;
    CREATE VIEW payable AS SELECT id FROM acct WHERE id = 1;";

/// Everything that has a mark in its text, writes, or calls `pay` needs bob.
fn asks_bob(approval: Value) -> Given {
    let mut asks = json!({"approvers": [{"kind": "Group", "name": "oidc:dba"}]});
    asks.as_object_mut()
        .unwrap()
        .extend(approval.as_object().unwrap().clone());
    Given::open().policy(json!([
        {"name": "asked", "match": {"cel": "command.verbs.exists(v, v in ['insert', 'update', 'delete']) || command.text.contains('pay')"}, "action": "RequireApproval",
         "message": "this needs bob", "approval": asks},
        {"name": "rest", "match": {"any": true}, "action": "Allow"},
    ]))
}
