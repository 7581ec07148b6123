//! What is enforced, really: the policy that is wanted ([`programs`]), what every process says it runs ([`fleet`]), and what
//! follows from both ([`verdict`]). And which columns it would be enforced on that are not there ([`sought`]).

pub mod fleet;
pub mod programs;
pub mod sought;
pub mod ticker;
pub mod verdict;

pub use fleet::Fleet;
pub use programs::Programs;
