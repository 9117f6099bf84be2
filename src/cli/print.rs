//! What a subcommand is asked to show.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process;

/// How a shell tells of a program that SIGPIPE has ended: 128 and the signal's number.
const PIPE_CLOSED: i32 = 141;

/// Prints a line to standard output. Where nobody reads any more, as behind `| head -1`, the
/// process ends without a word.
pub(crate) fn line(text: Arguments<'_>) {
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(PIPE_CLOSED),
        Err(error) => {
            complaint(format_args!("farebox: standard output: {error}"));
            process::exit(1);
        }
    }
}

/// Prints a line to standard output, if somebody reads it: news of something that goes on.
pub(crate) fn news(text: Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints a line to standard error, if somebody reads it.
pub(crate) fn complaint(text: Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// `println!` that doesn't panic.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::print::line(format_args!($($text)*)) };
}

/// `println!` that doesn't mind whether anybody reads it.
macro_rules! tell {
    ($($text:tt)*) => { $crate::cli::print::news(format_args!($($text)*)) };
}

/// `eprintln!` that doesn't panic.
macro_rules! complain {
    ($($text:tt)*) => { $crate::cli::print::complaint(format_args!($($text)*)) };
}

pub(crate) use {complain, say, tell};
