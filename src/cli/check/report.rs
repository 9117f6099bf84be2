//! What `check` prints: a line for each part.

use std::fmt::Display;
use std::process::ExitCode;

use crate::cli::print::say;

/// The lines, and how many of them are failures.
#[derive(Default)]
pub(super) struct Report {
    failed: usize,
}

impl Report {
    pub(super) fn ok(&mut self, part: &str, what: impl Display) {
        say!("ok       {part}: {what}");
    }

    pub(super) fn note(&mut self, part: &str, what: impl Display) {
        say!("note     {part}: {what}");
    }

    pub(super) fn failed(&mut self, part: &str, what: impl Display) {
        self.failed += 1;
        say!("FAILED   {part}: {what}");
    }

    pub(super) fn end(self) -> ExitCode {
        match self.failed {
            0 => {
                say!("All is well.");
                ExitCode::SUCCESS
            }
            failed => {
                say!("{failed} part(s) failed.");
                ExitCode::FAILURE
            }
        }
    }
}
