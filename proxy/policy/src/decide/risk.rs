//! The risk score.
//!
//! The highest of the verbs, plus what makes it worse, at most 100:
//!
//! | score | verbs |
//! |---|---|
//! | 0 | begin, commit, rollback, savepoint, show, deallocate, close, unlisten, constraints |
//! | 5 | select, fetch, declare, prepare, execute, explain, set, reset, listen, discard |
//! | 10 | copy_to, lock, notify, analyze |
//! | 20 | vacuum, refresh, reindex, cluster, comment, checkpoint, prepare_transaction |
//! | 30 | insert, copy_from |
//! | 40 | update, create |
//! | 50 | delete, merge, call, utility |
//! | 60 | alter, do, function_call, security_label, import |
//! | 70 | grant, revoke, reassign |
//! | 80 | drop, truncate |
//! | 100 | alter_system, load |
//!
//! | added | when |
//! |---|---|
//! | 30 | an UPDATE, DELETE or MERGE chooses no rows (no WHERE, or one without a column in it) |
//! | 15 | something in it cannot be seen into: an unknown function, DO, a name that was not resolved |
//! | 10 | a protected column stands in it |
//! | 10 | the target's statistics count 1,000 rows or more in the tables whose rows it changes |
//! | 10 | its text reads differently under the two settings of standard_conforming_strings |

use std::cmp::Reverse;

use crate::sql::{Verb, Verbs};

use super::Command;

/// Verbs that change rows.
const CHANGES: [Verb; 3] = [Verb::Update, Verb::Delete, Verb::Merge];

/// Rows from which a change counts as large.
const MANY_ROWS: u64 = 1_000;

/// The score of a command, 0 to 100, by the table above.
pub fn risk(command: &Command) -> u8 {
    let changes = command.verbs.any(&CHANGES);
    let many = changes && command.rows.is_some_and(|rows| rows >= MANY_ROWS);
    let added = [
        (changes && !command.has_where, 30),
        (!command.opaque.is_empty(), 15),
        (command.protected, 10),
        (many, 10),
        (command.ambiguous, 10),
    ];
    let added: u8 = added
        .iter()
        .filter(|(applies, _)| *applies)
        .map(|(_, score)| score)
        .sum();
    highest(command.verbs).saturating_add(added).min(100)
}

fn highest(verbs: Verbs) -> u8 {
    // Nothing known is not harmless.
    gravest(verbs).map_or(50, score)
}

/// The verb with the highest score, of equals the first.
pub(super) fn gravest(verbs: Verbs) -> Option<Verb> {
    verbs.iter().min_by_key(|verb| Reverse(score(*verb)))
}

fn score(verb: Verb) -> u8 {
    match verb {
        Verb::Begin
        | Verb::Commit
        | Verb::Rollback
        | Verb::Savepoint
        | Verb::Show
        | Verb::Deallocate
        | Verb::Close
        | Verb::Unlisten
        | Verb::Constraints => 0,
        Verb::Select
        | Verb::Fetch
        | Verb::Declare
        | Verb::Prepare
        | Verb::Execute
        | Verb::Explain
        | Verb::Set
        | Verb::Reset
        | Verb::Listen
        | Verb::Discard => 5,
        Verb::CopyTo | Verb::Lock | Verb::Notify | Verb::Analyze => 10,
        Verb::Vacuum
        | Verb::Refresh
        | Verb::Reindex
        | Verb::Cluster
        | Verb::Comment
        | Verb::Checkpoint
        | Verb::PrepareTransaction => 20,
        Verb::Insert | Verb::CopyFrom => 30,
        Verb::Update | Verb::Create => 40,
        Verb::Delete | Verb::Merge | Verb::Call | Verb::Utility => 50,
        Verb::Alter | Verb::Do | Verb::FunctionCall | Verb::SecurityLabel | Verb::Import => 60,
        Verb::Grant | Verb::Revoke | Verb::Reassign => 70,
        Verb::Drop | Verb::Truncate => 80,
        Verb::AlterSystem | Verb::Load => 100,
    }
}
