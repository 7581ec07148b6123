//! Tells a story on a terminal: what is done, what a person sees, what was checked.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{Output, describe};

/// Tells the story and keeps a copy of what it told.
#[derive(Debug, Default)]
pub struct Narrator {
    told: String,
    step: usize,
}

// === impl Narrator ===

impl Narrator {
    /// Begins a step.
    pub fn step(&mut self, title: &str) {
        self.step += 1;
        let line = format!("\n\x1b[1m{}. {title}\x1b[0m\n", self.step);
        self.tell(&line);
    }

    /// Shows a command as a person would type it.
    pub fn types(&mut self, prompt: &str, command: &Command) {
        let line = format!("\x1b[2m{prompt}$\x1b[0m {}\n", describe(command));
        self.tell(&line);
    }

    /// Shows what a program said, indented; long outputs are cut in the middle.
    pub fn shows(&mut self, output: &Output) {
        self.shows_text(&output.all());
    }

    /// Shows a text, indented; long ones are cut in the middle.
    pub fn shows_text(&mut self, text: &str) {
        const KEPT: usize = 14;
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut shown = String::new();
        for (at, line) in lines.iter().enumerate() {
            if lines.len() > 2 * KEPT && at == KEPT {
                let _ = writeln!(shown, "    … {} lines …", lines.len() - 2 * KEPT);
            }
            if lines.len() <= 2 * KEPT || at < KEPT || at >= lines.len() - KEPT {
                let _ = writeln!(shown, "    {line}");
            }
        }
        self.tell(&shown);
    }

    /// States what was checked, and fails where it does not hold.
    ///
    /// # Errors
    /// When `holds` is false.
    pub fn check(&mut self, what: &str, holds: bool) -> Result<()> {
        let mark = if holds {
            "\x1b[32m✓\x1b[0m"
        } else {
            "\x1b[31m✗\x1b[0m"
        };
        self.tell(&format!("  {mark} {what}\n"));
        if holds { Ok(()) } else { bail!("not so: {what}") }
    }

    /// All that was told.
    pub fn told(&self) -> &str {
        &self.told
    }

    fn tell(&mut self, text: &str) {
        print!("{text}");
        self.told.push_str(text);
    }
}
