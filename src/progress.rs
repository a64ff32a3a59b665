//! Progress on standard error, for people: silent unless that is a terminal.

use std::io::{IsTerminal, Write};

use crate::compiler::Listener;

/// A line that is written over itself.
pub struct Progress {
    what: &'static str,
    shown: Option<u64>,
    terminal: bool,
}

impl Progress {
    /// Progress of `what`.
    pub fn new(what: &'static str) -> Progress {
        Progress {
            what,
            shown: None,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// The step that begins.
    pub fn step(&mut self, name: &str) {
        if self.terminal {
            self.shown = Some(0);
            eprint!("\r\x1b[K{}: {name}", self.what);
            // Nobody is told less than a line of progress if this fails.
            let _ = std::io::stderr().flush();
        }
    }

    /// `done` of `total`.
    pub fn at(&mut self, done: u64, total: u64) {
        let percent = (u128::from(done) * 100 / u128::from(total.max(1))) as u64;
        if self.terminal && self.shown != Some(percent) {
            self.shown = Some(percent);
            eprint!("\r{} {percent:3} %", self.what);
            // Nobody is told less than a line of progress if this fails.
            let _ = std::io::stderr().flush();
        }
    }
}

impl Listener for Progress {
    fn step(&mut self, name: &str) {
        Progress::step(self, name);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
