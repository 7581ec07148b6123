//! What is printed: the answer on standard output, and what is said beside it on standard error.
//!
//! `println!` panics where nobody reads any more (`… | head`), and where a disk is full. Lints keep it out of this program.

use std::fmt::Display;
use std::io::{BufWriter, ErrorKind, Write, stderr, stdout};

use anyhow::{Context as _, Result};

/// Whoever read the answer has seen enough. Nobody's fault, and nothing to say anything about.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the answer any more")]
pub struct Unread;

/// Exit status where nobody read to the end: a shell's for whom SIGPIPE ended, as it ends kubectl. Not success, which would have
/// `audit verify | head -1` say that a log is proven.
pub const UNREAD: u8 = 128 + 13;

/// Prints `text` as it is.
///
/// # Errors
/// [`Unread`], or what else keeps it from being written.
pub fn text(text: impl Display) -> Result<()> {
    write(stdout().lock(), |to| write!(to, "{text}"))
}

/// Prints `text` and ends the line.
///
/// # Errors
/// As of [`text`].
pub fn line(text: impl Display) -> Result<()> {
    write(stdout().lock(), |to| writeln!(to, "{text}"))
}

/// Prints many lines, without a system call for each.
///
/// # Errors
/// As of [`text`].
pub fn lines(lines: impl IntoIterator<Item = impl Display>) -> Result<()> {
    write(BufWriter::new(stdout().lock()), |to| {
        lines.into_iter().try_for_each(|line| writeln!(to, "{line}"))
    })
}

/// Prints what was done and cannot be taken back, and ends the line. Where standard output does not take it, it is said beside it: the
/// exit status alone would say that it was not done.
///
/// # Errors
/// As of [`text`].
pub fn done(what: impl Display) -> Result<()> {
    tell_done(stdout().lock(), stderr().lock(), what)
}

fn tell_done(to: impl Write, mut beside: impl Write, what: impl Display) -> Result<()> {
    write(to, |to| writeln!(to, "{what}")).inspect_err(|_| {
        let _ = writeln!(beside, "{what}: this is done, though it could not be printed");
    })
}

/// Says something to whoever runs this, if there is anybody, and ends the line.
pub fn aside(text: impl Display) {
    // Where nobody reads what is said beside the answer, the answer is still owed.
    let _ = writeln!(stderr().lock(), "{text}");
}

fn write<W: Write>(mut to: W, text: impl FnOnce(&mut W) -> std::io::Result<()>) -> Result<()> {
    match text(&mut to).and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Unread.into()),
        done => done.context("the answer cannot be printed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing, for this reason.
    struct Closed(ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_stops_reading_is_told_from_what_cannot_be_written() {
        let printed = |kind| write(Closed(kind), |to| writeln!(to, "a")).unwrap_err();
        assert!(printed(ErrorKind::BrokenPipe).is::<Unread>());
        let full = printed(ErrorKind::StorageFull);
        assert!(!full.is::<Unread>());
        assert_eq!(full.to_string(), "the answer cannot be printed");
        // What is kept back until the end is missed at the end.
        let kept = write(BufWriter::new(Closed(ErrorKind::BrokenPipe)), |to| writeln!(to, "a"));
        assert!(kept.unwrap_err().is::<Unread>());
    }

    #[test]
    fn what_is_done_is_said_wherever_anybody_reads() {
        let (mut printed, mut beside) = (Vec::new(), Vec::new());
        tell_done(&mut printed, &mut beside, "a: approved").unwrap();
        assert_eq!(
            (printed.as_slice(), beside.as_slice()),
            (&b"a: approved\n"[..], &b""[..])
        );
        for kind in [ErrorKind::BrokenPipe, ErrorKind::StorageFull] {
            let mut beside = Vec::new();
            assert!(tell_done(Closed(kind), &mut beside, "a: approved").is_err());
            assert!(beside.starts_with(b"a: approved: this is done"), "{kind}");
        }
    }
}
