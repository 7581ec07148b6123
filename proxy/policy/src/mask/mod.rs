//! Masking: what a reader may not see, taken out of every value on its way to the client.
//!
//! Reading order: a [`rule::Rule`] says what is protected and what happens to it; [`MaskSet`] is the compiled list of a
//! policy's rules; [`Masker`] is that list for one person (exempt rules dropped); [`RowPlan`] is a masker applied to
//! one RowDescription and rewrites DataRows; [`copy`] does the same for COPY streams and [`text`] for text outside rows
//! (errors, notices, notifications, parameter status).
//!
//! Two roads lead to a mask. *Column rules* name stored columns; [`resolve`] turns the names into (relation OID,
//! attribute number) and lineage says which output columns they reach: those are masked whole. *Detectors* and own
//! patterns look at every other value and mask the part that they recognise.
//!
//! Nothing here does IO, reads a clock, or logs; no error or `Debug` text holds a value.

pub mod action;
mod bytes;
mod column;
pub mod compile;
mod contested;
pub mod copy;
pub mod count;
pub mod detect;
mod hash;
mod keys;
mod look;
mod masker;
pub mod plan;
pub mod resolve;
pub mod rule;
#[cfg(test)]
mod testing;
pub mod text;
mod token;
pub mod types;

pub use action::REDACTED;
pub use compile::{ProblemKind, RuleProblem, compile};
pub use contested::Contested;
pub use copy::{CopyError, CopyFormat, CopyMasker};
pub use count::{CountLabel, Counts};
pub use hash::HashKey;
pub use keys::Keys;
pub use masker::{MaskSet, Masker};
pub use plan::{ColumnInfo, Format, Outcome, RowError, RowOutcome, RowPlan, Source};
pub use resolve::{ColumnGlob, Fit, ProtectedColumns, fits, generated_from};
pub use rule::{Profile, Rule, RuleId, RuleSet};
pub use token::TokenKey;
