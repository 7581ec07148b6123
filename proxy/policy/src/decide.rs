//! The verdict: may this person do this here, and if not at once, who has to say so.
//!
//! Reading order: a [`Command`] is what is asked, as data; a [`Decision`] is the answer; [`ApprovalPolicy`] is one policy,
//! compiled; [`decide`] asks all of them.
//!
//! 1. What is [always denied](crate::sql::Denied) and not opened by the Connection is denied.
//! 2. Each policy whose subjects include the person answers by its first rule that matches. A policy without such a rule
//!    says nothing.
//! 3. The most restrictive answer holds: Deny beats RequireApproval beats Allow. Approvals that several policies ask for are
//!    all needed. If no policy said anything, the command is denied.
//! 4. What nobody can see into (a function, a DO block, a trigger) may do anything: unless it runs read-only, the rules are
//!    asked about all of that too, and the stricter verdict holds.
//!
//! A rule that cannot be evaluated denies. A policy in mode Observe says what it would have done ([`Note`]) and counts for
//! nothing else. There is no clock here: the caller says what time it is ([`Command::at`]), and the same input gives the
//! same answer.

mod cel;
mod command;
mod judge;
mod policy;
mod range;
mod risk;
mod unseen;
mod verdict;

pub use cel::{CelError, MAX_EXPRESSION};
pub use command::{Command, MAX_HELD, MAX_SHOWN, Parameter};

pub(crate) use cel::ConnectionFacts;
pub(crate) use judge::{Bench, decide, explain};
pub use policy::{ApprovalPolicy, compile};
pub use range::{Number, Range};
pub use risk::risk;
pub use verdict::{Allowed, BreakGlass, Decision, Denial, DeniedBy, Explanation, Hold, Note, Requirement, Verdict};

#[cfg(test)]
mod tests;
