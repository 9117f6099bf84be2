//! `farebox man` and `farebox completions`: made of the command line itself, so that they can't say
//! what it denies.

use std::io;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::print::say;

/// What stands below the options.
const FILES: [(&str, &str); 3] = [
    ("./farebox.toml, /etc/farebox/farebox.toml", "The config, where --config names no other."),
    ("/var/lib/farebox", "The ledger and the master secret, where `state_dir` names no other."),
    ("config.example.toml", "Explains every key of the config."),
];

const EXIT_CODES: [(&str, &str); 4] = [
    ("0", "After an orderly stop, a good check, or an act that was done."),
    ("1", "Otherwise: what is wrong stands on standard error."),
    ("2", "For a wrong command line."),
    ("78", "Where the config, or what it leads to, can't be used before somebody has changed it."),
];

const SIGNALS: [(&str, &str); 2] = [
    ("SIGHUP", "serve reads its config again; a bad one changes nothing."),
    (
        "SIGTERM, SIGINT, SIGQUIT",
        "serve accepts nothing more, lets what is under way end, and exits; a second one hurries.",
    ),
];

const EXAMPLES: [(&str, &str); 4] = [
    ("farebox demo", "Everything at once on this machine, with play money."),
    ("farebox check", "Before the first start, and after each change of the config."),
    ("farebox tickets list --state parked", "What nobody knows the outcome of."),
    ("farebox tickets export > 2026.csv", "What was sold, for an account."),
];

/// The manual page (roff), with all subcommands.
pub(super) fn man(command: Command) -> io::Result<()> {
    let mut command = command;
    command.build();
    let page = Man::new(command.clone()).manual("Farebox").section("1");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    for subcommand in command.get_subcommands().filter(|one| one.get_name() != "help") {
        describe(subcommand, &mut text)?;
    }
    lists(&mut text)?;
    say!("{}", String::from_utf8_lossy(&text).trim_end());
    Ok(())
}

/// A section for a subcommand, and one for each of its own.
fn describe(command: &Command, text: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut head = Roff::new();
    head.control("SH", [name]);
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string);
    head.text([roman(about.unwrap_or_default())]);
    head.to_writer(text)?;
    if command.get_arguments().any(|argument| argument.get_id() != "help") {
        Man::new(command.clone()).render_options_section(text)?;
    }
    for subcommand in command.get_subcommands().filter(|one| one.get_name() != "help") {
        describe(subcommand, text)?;
    }
    Ok(())
}

fn lists(text: &mut Vec<u8>) -> io::Result<()> {
    let mut tail = Roff::new();
    let sections: [(&str, &[(&str, &str)]); 4] = [
        ("FILES", &FILES),
        ("SIGNALS", &SIGNALS),
        ("EXIT STATUS", &EXIT_CODES),
        ("EXAMPLES", &EXAMPLES),
    ];
    for (head, rows) in sections {
        tail.control("SH", [head]);
        for (term, what) in rows {
            tail.control("TP", []);
            tail.text([bold(*term)]);
            tail.text([roman(*what)]);
        }
    }
    tail.to_writer(text)
}

/// What a shell needs to complete command lines.
pub(super) fn completions(mut command: Command, shell: Shell) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "farebox", &mut text);
    say!("{}", String::from_utf8_lossy(&text).trim_end());
}
