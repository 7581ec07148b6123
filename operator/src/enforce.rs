//! What is enforced, really: the policy that is wanted ([`programs`]), what every process says it runs ([`fleet`]), and what
//! follows from both ([`verdict`]).

pub mod fleet;
pub mod programs;
pub mod ticker;
pub mod verdict;

pub use fleet::Fleet;
pub use programs::Programs;
