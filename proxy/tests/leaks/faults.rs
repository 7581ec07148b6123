//! What went wrong, told as it comes: a run takes minutes.

use std::io::Write as _;
use std::time::Instant;

/// The faults of one run.
pub struct Faults {
    /// Of what.
    of: String,
    /// How many cases were tried.
    pub tried: usize,
    all: Vec<String>,
    began: Instant,
}

impl Faults {
    pub fn new(of: String) -> Self {
        Self {
            of,
            tried: 0,
            all: Vec::new(),
            began: Instant::now(),
        }
    }

    /// One more.
    pub fn tell(&mut self, fault: String) {
        say(&format!("{}: {fault}", self.of));
        self.all.push(fault);
    }

    /// All of them once more, if there are any, and the test fails. So does one that tried nothing.
    pub fn end(self) {
        let Self { of, tried, all, began } = self;
        assert!(tried > 0, "no case was tried");
        say(&format!(
            "{of}: {tried} cases in {} s, {} faults",
            began.elapsed().as_secs(),
            all.len()
        ));
        assert!(
            all.is_empty(),
            "{of}: {} faults in {tried} cases:\n{}",
            all.len(),
            all.join("\n")
        );
    }
}

/// On standard error itself: what `eprintln!` says is kept until a test's end.
fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}
