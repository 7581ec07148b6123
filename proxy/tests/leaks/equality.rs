//! Columns that may be compared: what is equal shows the same hash, whichever table it stands in.

use super::common::door::{Given, TestDoor};
use super::common::wire::Client;

const SCHEMA: &str = "CREATE TABLE customers (id int PRIMARY KEY, ssn text, ssn_num bigint, card text); \
     CREATE TABLE ledger (id int PRIMARY KEY, ssn text, ssn_num bigint); \
     INSERT INTO customers VALUES (1, '536-90-4399', 536904399, NULL), (2, '536-17-8226', 536178226, NULL); \
     INSERT INTO ledger VALUES (1, '536-17-8226', 536178226), (2, '536-90-4399', NULL), (3, '536-90-4399', NULL)";

/// The rows of an answer, as text.
fn rows(client: &mut Client, sql: &str) -> Vec<Vec<String>> {
    let messages = client.query(sql);
    let refused = messages.iter().find(|message| message.tag == 'E');
    assert!(refused.is_none(), "{sql}: {:?}", refused.map(|message| message.text()));
    let rows = messages.iter().filter(|message| message.tag == 'D');
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap()).unwrap();
    rows.map(|row| row.values().into_iter().map(text).collect()).collect()
}

#[test]
fn what_joins_and_groups_shows_the_same_hash() {
    let door = TestDoor::new(&Given::cases_of_equality(), SCHEMA);
    let mut client = Client::login(&door, "alice", &[]).unwrap();
    let joined = rows(
        &mut client,
        "select c.id, l.id, c.ssn, l.ssn from customers c join ledger l on c.ssn = l.ssn order by l.id",
    );
    let ids: Vec<&[String]> = joined.iter().map(|row| &row[..2]).collect();
    assert_eq!(ids, [["2", "1"], ["1", "2"], ["1", "3"]]);
    for row in &joined {
        assert_eq!(row[2], row[3]);
        assert!(row[2].len() == 32 && row[2].bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
    let (one, two) = (joined[0][2].as_str(), joined[1][2].as_str());
    assert!(one != two && two == joined[2][2]);
    let mut groups = rows(&mut client, "select ssn, count(*) from ledger group by ssn");
    groups.sort_by(|a, b| a[1].cmp(&b[1]));
    assert_eq!(groups, [[one, "1"], [two, "2"]]);
    // One value under two keys.
    let own = rows(&mut client, "select ssn_num from ledger where id = 1");
    let other = rows(&mut client, "select ssn_num from customers where id = 2");
    assert_ne!(own, other);
    assert!(!own.concat().contains(&"536178226".to_owned()));
}
