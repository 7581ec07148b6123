//! Asks second people: AccessRequests are made, watched, claimed and withdrawn.
//!
//! Reading order: [`Requests`] (what a session calls), `board` (every request of this Connection as the watch last showed
//! it), `behind` (what an earlier process left there), `answers` (what goes to the log from there), `state` (what a request's conditions mean), `claim` (spending a grant, once), [`NoCluster`] (a door without one).

mod answers;
mod behind;
mod board;
mod claim;
mod nowhere;
mod pulse;
mod requests;
mod spec;
mod state;
mod withdraw;

#[cfg(test)]
mod skew;
#[cfg(test)]
mod tests;

pub use nowhere::NoCluster;
pub(crate) use requests::BLIND;
pub use requests::Requests;
